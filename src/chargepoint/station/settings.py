"""What an operator may change while the borne runs, in neutral names.

The OCPP rooms map their own keys or variables to these. The journal keeps each setting that has ever been
set; the configuration file gives initial values only.
"""

from dataclasses import dataclass, field

SAMPLED = ("Energy.Active.Import.Register", "Power.Active.Import", "Current.Import", "Voltage")


@dataclass(slots=True)
class Settings:
    """Live values; whoever needs one reads it when it acts, so that a change takes effect at once."""

    connection_timeout_s: int = 120
    """Badge without plug, or plug without badge: how long either waits."""
    authorize_remote_start: bool = False
    local_authorize_offline: bool = True
    local_pre_authorize: bool = False
    offline_unknown_allowed: bool = False
    cache_enabled: bool = True
    local_list_enabled: bool = True
    stop_on_invalid: bool = True
    max_energy_on_invalid_wh: int = 0
    stop_on_ev_disconnect: bool = True
    unlock_on_ev_disconnect: bool = True
    sample_interval_s: int = 60
    """0: none."""
    sampled_measurands: tuple[str, ...] = SAMPLED
    aligned_interval_s: int = 0
    """0: none. Aligned to midnight UTC."""
    aligned_measurands: tuple[str, ...] = ("Energy.Active.Import.Register",)
    ended_sampled_measurands: tuple[str, ...] = ()
    ended_aligned_measurands: tuple[str, ...] = ()
    minimum_status_s: int = 0
    blink_repeat: int = 6
    """So often the lamps blink to tell what becomes of a badge."""
    reset_retries: int = 1
    """So often a restart of the machine that was asked for and did not come is asked for again."""
    resume_after_restart: bool = True
    """An open transaction goes on after a restart when its car never left; else it is closed with reason PowerLoss."""
    resume_after_power_loss_s: int = 900
    """As long as that the power may have been off for the transaction to go on all the same; 0: never.

    A lock lets its plug go when the power does, so another car may have come: the longer, the likelier.
    """
    free_vend_tag: str = ""
    """Of dedicated bays, where a plug-in alone starts a session with this tag; empty: there are none."""
    free_vend_evses: tuple[int, ...] = ()
    fleet_group: str = ""
    """Offline, badges of this group may start where a reservation keeps a point for the group; empty: off."""
    fleet_unattended: bool = False
    """Offline, plugging in at such a point is enough."""
    extra: dict[str, str] = field(default_factory=dict)
    """Settings only one protocol version knows, by that room's own name."""
