"""The domestic socket (Type E/F) of a point, its connector 2: no pilot, so current only under the station's lease.

It shares the point's residual current devices and its permission; of a point's two contactors at most one is
commanded closed, and it closes only when the other is confirmed open.
"""

from chargepoint.evse.contactor import Contactor, Trouble

CONNECTOR = 2
PLUG_S = 0.5
"""The plug (or lid) switch must hold for so long: it bounces while a plug goes in."""


class Domestic:
    """One domestic socket."""

    __slots__ = ("_since", "contactor", "plugged")

    def __init__(self, now: float) -> None:
        self.contactor = Contactor(now)
        self.plugged = False
        self._since: float | None = None

    @property
    def live(self) -> bool:
        """Commanded closed, or not confirmed open: connector 1 must stay off."""
        return self.contactor.commanded or not self.contactor.open_confirmed

    def step(self, now: float, plug: bool, closed: bool, may_close: bool) -> Trouble:
        """One pass. `may_close`: everything but the plug allows it. Without that it opens at once."""
        contactor = self.contactor
        if plug != self.plugged:
            self.plugged = plug
            self._since = now if plug else None
            contactor.new_car()
        stable = self._since is not None and now - self._since >= PLUG_S
        if contactor.commanded and not (plug and may_close):
            contactor.open(now, under_load=plug)
        contactor.step(now, stable and may_close, closed, closed)
        return contactor.trouble
