# ruff: noqa: E501  (a sentence for a person stays in one piece)
"""Every fault of the borne: one row each. The only place where a fault's properties stand.

Both processes and every report read this table; nothing else decides what a fault does. Imports nothing of ours.
`mrec` are the Minimum Required Error Codes of the ChargeX consortium (CX001..CX026; empty where none fits),
`ocpp16` the ChargePointErrorCode of OCPP 1.6.
"""

from dataclasses import dataclass, replace
from enum import StrEnum


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"
    """Danger to people or the installation is possible."""


class Effect(StrEnum):
    """What the fault does to the point, in the pass in which it is raised."""

    OPEN = "open"
    """Contactor open at once."""
    STOP = "stop"
    """x1, the car has 6 s to stop drawing, then open."""
    DERATE = "derate"
    """Less current."""
    REPORT = "report"
    """Told, nothing else."""


class Recover(StrEnum):
    """What must happen before the fault is gone, once its cause is."""

    SELF = "self"
    """`after_s` without the cause. After more than `count` times in one plug-in (0: no bound) it waits for the unplug."""
    UNPLUG = "unplug"
    """The car and its cable leave the Type 2 connector, whatever is in the domestic socket: these faults are the car's."""
    TECHNICIAN = "technician"
    """A technician acknowledges it, with no plug in the socket."""


class Owner(StrEnum):
    """Which process raises it."""

    EVSE = "evse"
    STATION = "station"


@dataclass(frozen=True, slots=True)
class FaultRow:
    """One row."""

    name: str
    mrec: str
    ocpp16: str
    severity: Severity
    effect: Effect
    recover: Recover
    after_s: float
    """Quiet time before it is gone by itself, s."""
    count: int
    """How often per plug-in it may be gone by itself; 0: no bound."""
    latching: bool
    """Survives a restart and a power cut."""
    faulted: bool
    """The connector's OCPP status is Faulted while it is active (but see `pauses`)."""
    pauses: bool
    """A transaction under way waits for its end, however long, and is shown as suspended by the borne, not as Faulted."""
    owner: Owner
    whole_borne: bool
    """Its cause belongs to no point."""
    en: str
    fr: str


FAULTS: dict[str, FaultRow] = {}
"""By name."""


def _row(
    name: str,
    mrec: str,
    ocpp16: str,
    severity: Severity,
    effect: Effect,
    recover: Recover,
    *,
    en: str,
    fr: str,
    after_s: float = 0.0,
    count: int = 0,
    latching: bool = False,
    faulted: bool | None = None,
    pauses: bool = False,
    owner: Owner = Owner.EVSE,
    whole_borne: bool = False,
) -> None:
    stops = effect in (Effect.OPEN, Effect.STOP)
    FAULTS[name] = FaultRow(
        name=name, mrec=mrec, ocpp16=ocpp16, severity=severity, effect=effect, recover=recover, after_s=after_s,
        count=count, latching=latching, faulted=stops if faulted is None else faulted, pauses=pauses, owner=owner,
        whole_borne=whole_borne, en=en, fr=fr,
    )  # fmt: skip


_INFO, _WARNING, _ERROR, _CRITICAL = Severity.INFO, Severity.WARNING, Severity.ERROR, Severity.CRITICAL
_OPEN, _STOP, _DERATE, _REPORT = Effect.OPEN, Effect.STOP, Effect.DERATE, Effect.REPORT
_SELF, _UNPLUG, _TECHNICIAN = Recover.SELF, Recover.UNPLUG, Recover.TECHNICIAN

# --- the control pilot -------------------------------------------------------------------------------------------

_row(
    "diode", "CX014", "EVCommunicationError", _ERROR, _OPEN, _UNPLUG,
    en="The car's pilot diode is missing or shorted: it may not be a car. Unplug and try another cable.",
    fr="La diode pilote du véhicule manque ou est en court-circuit : ce n'est peut-être pas un véhicule. "
    "Débranchez et essayez un autre câble.",
)  # fmt: skip
_row(
    "pilot-short", "CX014", "EVCommunicationError", _ERROR, _OPEN, _SELF, after_s=5.0, count=3,
    en="The control pilot is shorted to earth. Unplug; if it stays, look at the socket and its wiring.",
    fr="Le fil pilote est en court-circuit à la terre. Débranchez ; si le défaut reste, contrôlez la prise et son câblage.",
)  # fmt: skip
_row(
    "pilot-voltage", "CX014", "EVCommunicationError", _ERROR, _OPEN, _SELF, after_s=5.0, count=3,
    en="The control pilot's voltage is outside what the standard allows: generator, wiring or car.",
    fr="La tension du fil pilote est hors des limites de la norme : générateur, câblage ou véhicule.",
)  # fmt: skip
_row(
    "ventilation-required", "CX010", "EVCommunicationError", _WARNING, _OPEN, _SELF, after_s=10.0, count=3,
    en="The car asks for ventilation, which this site does not have.",
    fr="Le véhicule demande une ventilation que ce site n'a pas.",
)  # fmt: skip
_row(
    "cable-cut", "CX026", "OtherError", _ERROR, _OPEN, _UNPLUG,
    en="The pilot broke in mid-charge while the plug stayed in: the cable is cut or was pulled off the car under load.",
    fr="Le pilote s'est coupé en pleine charge alors que la fiche est restée : câble coupé ou arraché du véhicule en charge.",
)  # fmt: skip
_row(
    "pwm-wrong", "CX014", "InternalError", _ERROR, _OPEN, _SELF, after_s=10.0, count=3,
    en="The pilot generator does not put out what was commanded. Replace the controller board if it stays.",
    fr="Le générateur pilote ne sort pas ce qui est commandé. Remplacez la carte si le défaut reste.",
)  # fmt: skip

# --- the proximity contact ---------------------------------------------------------------------------------------

_row(
    "pp-open", "CX023", "OtherError", _ERROR, _OPEN, _SELF, after_s=5.0, count=3,
    en="A car is on the pilot but the plug's coding resistor is not seen: plug not fully in, or cable broken.",
    fr="Un véhicule est présent mais la résistance de codage de la fiche n'est pas vue : fiche mal enfoncée ou câble abîmé.",
)  # fmt: skip
_row(
    "pp-short", "CX023", "OtherError", _ERROR, _OPEN, _SELF, after_s=5.0, count=3,
    en="The proximity contact is shorted: water or metal in the socket, or a broken plug.",
    fr="Le contact de proximité est en court-circuit : eau ou métal dans la prise, ou fiche abîmée.",
)  # fmt: skip
_row(
    "pp-changed", "CX023", "OtherError", _ERROR, _OPEN, _UNPLUG,
    en="The cable's coding changed while a car was connected: cable or adapter not sound.",
    fr="Le codage du câble a changé pendant le branchement : câble ou adaptateur défectueux.",
)  # fmt: skip

# --- earth and residual current ----------------------------------------------------------------------------------

_row(
    "pe-lost", "CX002", "GroundFailure", _CRITICAL, _OPEN, _SELF, after_s=5.0, count=3,
    en="Protective earth is lost. Check the earth connection of the borne.",
    fr="La terre de protection est perdue. Contrôlez la mise à la terre de la borne.",
)  # fmt: skip
_row(
    "residual-current", "CX002", "GroundFailure", _CRITICAL, _OPEN, _TECHNICIAN, latching=True,
    en="Residual current: the 30 mA device tripped. Unplug, test the insulation, then acknowledge.",
    fr="Courant différentiel : le dispositif 30 mA a déclenché. Débranchez, contrôlez l'isolement, puis acquittez.",
)  # fmt: skip
_row(
    "residual-current-dc", "CX002", "GroundFailure", _CRITICAL, _OPEN, _TECHNICIAN, latching=True,
    en="Residual direct current above 6 mA, most likely from the car. Unplug, then acknowledge.",
    fr="Courant différentiel continu supérieur à 6 mA, sans doute du véhicule. Débranchez, puis acquittez.",
)  # fmt: skip
_row(
    "rcd-test-fails", "CX002", "GroundFailure", _CRITICAL, _OPEN, _TECHNICIAN, latching=True,
    en="The residual current device did not pass its self-test: the point stays out of service until it is repaired.",
    fr="Le dispositif différentiel a échoué à son autotest : le point reste hors service jusqu'à réparation.",
)  # fmt: skip

# --- contactor ---------------------------------------------------------------------------------------------------

_row(
    "contactor-welded", "CX017", "PowerSwitchFailure", _CRITICAL, _OPEN, _TECHNICIAN, latching=True,
    en="The contactor did not open: welded contacts, or a mirror contact that lies. The socket may be live. Cut the supply.",
    fr="Le contacteur ne s'est pas ouvert : contacts soudés ou contact miroir menteur. La prise peut être sous tension. "
    "Coupez l'alimentation.",
)  # fmt: skip
# Its quiet time ends before a session's patience does (300 s, `station.faultlist`): the point's breaker may be back.
_row(
    "contactor-stuck-open", "CX017", "PowerSwitchFailure", _ERROR, _OPEN, _SELF, after_s=240.0, count=3,
    en="The contactor does not close: coil, coil supply or mirror contact, or no mains behind it. It is tried again.",
    fr="Le contacteur ne se ferme pas : bobine, alimentation de bobine ou contact miroir, ou pas de réseau en amont. Nouvel essai automatique.",
)  # fmt: skip
_row(
    "contactor-drops", "CX017", "PowerSwitchFailure", _ERROR, _OPEN, _SELF, after_s=10.0, count=3,
    en="The contactor opened by itself in mid-charge: coil supply, or the mains behind it failed.",
    fr="Le contacteur s'est ouvert de lui-même en charge : alimentation de bobine, ou réseau en amont absent.",
)  # fmt: skip

# --- lock --------------------------------------------------------------------------------------------------------

_row(
    "lock-jam", "CX001", "ConnectorLockFailure", _ERROR, _OPEN, _UNPLUG,
    en="The plug cannot be locked: push it fully in; else the lock's motor or end switch.",
    fr="La fiche ne se verrouille pas : enfoncez-la à fond ; sinon moteur ou fin de course du verrou.",
)  # fmt: skip
_row(
    "lock-stuck", "CX001", "ConnectorLockFailure", _ERROR, _OPEN, _SELF, after_s=0.0,
    en="The lock does not release the plug: push the plug while it is tried again, or use the emergency release.",
    fr="Le verrou ne libère pas la fiche : poussez la fiche pendant le nouvel essai, ou utilisez le déverrouillage de secours.",
)  # fmt: skip
_row(
    "lock-opens", "CX001", "ConnectorLockFailure", _ERROR, _OPEN, _UNPLUG,
    en="The lock opened by itself in mid-charge: forced plug, or a broken lock.",
    fr="Le verrou s'est ouvert de lui-même en charge : fiche forcée ou verrou cassé.",
)  # fmt: skip

# --- temperature -------------------------------------------------------------------------------------------------

_row(
    "temperature-derating", "CX018", "HighTemperature", _WARNING, _DERATE, _SELF, faulted=False,
    en="The socket's contacts are warm: the current is lowered.",
    fr="Les contacts de la prise sont chauds : le courant est réduit.",
)  # fmt: skip
_row(
    "over-temperature", "CX019", "HighTemperature", _CRITICAL, _STOP, _SELF, pauses=True,
    en="The socket's contacts are too hot: charging is stopped until they are cool.",
    fr="Les contacts de la prise sont trop chauds : charge arrêtée jusqu'à refroidissement.",
)  # fmt: skip
_row(
    "temperature-sensor", "CX003", "InternalError", _ERROR, _STOP, _SELF, after_s=10.0,
    en="The socket's temperature sensor is broken or shorted.",
    fr="La sonde de température de la prise est coupée ou en court-circuit.",
)  # fmt: skip

# --- the board and the loop --------------------------------------------------------------------------------------

_row(
    "adc-silent", "", "InternalError", _CRITICAL, _OPEN, _SELF, after_s=10.0, count=3,
    en="The analogue converter is silent or its reference is wrong: the pilot cannot be read.",
    fr="Le convertisseur analogique est muet ou sa référence est fausse : le pilote est illisible.",
)  # fmt: skip
_row(
    "coil-watchdog", "", "InternalError", _CRITICAL, _OPEN, _SELF, after_s=5.0, whole_borne=True,
    en="The coil watchdog is not armed although it is fed, or stays armed unfed: the contactors would not be dropped if the program stopped.",
    fr="Le chien de garde des bobines n'est pas armé bien qu'alimenté, ou le reste sans l'être : les contacteurs ne tomberaient pas si le programme s'arrêtait.",
)  # fmt: skip
# Longer than a permission lasts: nothing goes on that was permitted before it.
_row(
    "emergency-stop", "CX008", "OtherError", _CRITICAL, _OPEN, _SELF, after_s=15.0, whole_borne=True,
    en="The emergency stop is pressed.",
    fr="L'arrêt d'urgence est enclenché.",
)  # fmt: skip
_row(
    "door-open", "", "OtherError", _ERROR, _OPEN, _SELF, after_s=5.0, whole_borne=True,
    en="The borne's door is open.",
    fr="La porte de la borne est ouverte.",
)  # fmt: skip
_row(
    "board-mismatch", "", "InternalError", _CRITICAL, _OPEN, _SELF, after_s=30.0, whole_borne=True,
    en="Part of the controller board does not answer: it is loose, broken, or not the one the configuration describes.",
    fr="Une partie de la carte ne répond pas : débranchée, en panne, ou pas celle que décrit la configuration.",
)  # fmt: skip
_row(
    "loop-overrun", "", "InternalError", _CRITICAL, _OPEN, _SELF, after_s=60.0, whole_borne=True,
    en="The safety loop ran late: the processor is overloaded or was stopped.",
    fr="La boucle de sécurité a pris du retard : processeur surchargé ou suspendu.",
)  # fmt: skip
_row(
    "self-test-failed", "", "InternalError", _ERROR, _OPEN, _SELF,
    en="A self-test of the point failed; the detail names which. It is repeated every minute.",
    fr="Un autotest du point a échoué ; le détail dit lequel. Il est répété chaque minute.",
)  # fmt: skip
_row(
    "memory-damaged", "", "InternalError", _WARNING, _REPORT, _SELF, whole_borne=True,
    en="The safety process's memory file was unreadable; the detail says whether its copy was read. Look at the card.",
    fr="Le fichier mémoire du processus de sécurité était illisible ; le détail dit si sa copie a été lue. Contrôlez la carte.",
)  # fmt: skip
_row(
    "lease-ended", "", "InternalError", _WARNING, _STOP, _SELF, faulted=False,
    en="The station process stopped renewing its permission: the car waits until it is back.",
    fr="Le processus station ne renouvelle plus sa permission : le véhicule attend son retour.",
)  # fmt: skip

_row(
    "unknown-latch", "", "InternalError", _CRITICAL, _OPEN, _TECHNICIAN, latching=True,
    en="A latched fault that this software does not know: another version's, or one lost with a damaged memory file. Find its cause by its name or detail, check the point, then acknowledge.",
    fr="Un défaut verrouillé que ce logiciel ne connaît pas : celui d'une autre version, ou perdu avec un fichier mémoire abîmé. Trouvez sa cause d'après son nom ou le détail, contrôlez le point, puis acquittez.",
)  # fmt: skip

# --- an external pilot controller ----------------------------------------------------------------------------------

_row(
    "controller-silent", "", "InternalError", _CRITICAL, _OPEN, _SELF,
    en="The point's pilot controller does not answer on Modbus. It may go on charging as it was last told: check its line and its supply.",
    fr="Le contrôleur pilote du point ne répond pas en Modbus. Il peut continuer la charge selon le dernier ordre : contrôlez sa ligne et son alimentation.",
)  # fmt: skip
_row(
    "controller-disobeys", "", "InternalError", _CRITICAL, _OPEN, _SELF,
    en="The point's pilot controller does not do what it is told: check its settings, or cut its supply.",
    fr="Le contrôleur pilote du point ne suit pas les ordres : contrôlez ses réglages, ou coupez son alimentation.",
)  # fmt: skip
_row(
    "controller-fault", "", "OtherError", _ERROR, _OPEN, _SELF,
    en="The point's pilot controller reports a fault of its own; the detail says which.",
    fr="Le contrôleur pilote du point signale un défaut qui lui est propre ; le détail dit lequel.",
)  # fmt: skip

# --- domestic socket ---------------------------------------------------------------------------------------------

_row(
    "domestic-contactor", "CX017", "PowerSwitchFailure", _CRITICAL, _OPEN, _TECHNICIAN, latching=True,
    en="The domestic socket's contactor does not follow its command: it may be live. Cut the supply.",
    fr="Le contacteur de la prise domestique ne suit pas sa commande : elle peut être sous tension. Coupez l'alimentation.",
)  # fmt: skip

# --- what the station process sees -------------------------------------------------------------------------------

_row(
    "over-current", "CX004", "OverCurrentFailure", _ERROR, _STOP, _UNPLUG, owner=Owner.STATION,
    en="The car draws more than it was offered.",
    fr="Le véhicule consomme plus que ce qui lui est offert.",
)  # fmt: skip
_row(
    "over-voltage", "CX005", "OverVoltage", _ERROR, _STOP, _SELF, after_s=30.0, owner=Owner.STATION,
    en="The mains voltage is too high.",
    fr="La tension du réseau est trop haute.",
)  # fmt: skip
_row(
    "under-voltage", "CX006", "UnderVoltage", _ERROR, _STOP, _SELF, after_s=30.0, owner=Owner.STATION,
    en="The mains voltage is too low.",
    fr="La tension du réseau est trop basse.",
)  # fmt: skip
_row(
    "phase-lost", "CX015", "UnderVoltage", _ERROR, _STOP, _SELF, after_s=30.0, owner=Owner.STATION,
    en="A phase of the supply is missing.",
    fr="Une phase de l'alimentation manque.",
)  # fmt: skip
_row(
    "meter-lost", "", "PowerMeterFailure", _ERROR, _REPORT, _SELF, owner=Owner.STATION,
    en="The energy meter does not answer; its last register is kept.",
    fr="Le compteur d'énergie ne répond pas ; son dernier index est conservé.",
)  # fmt: skip
_row(
    "reader-lost", "", "ReaderFailure", _WARNING, _REPORT, _SELF, owner=Owner.STATION, whole_borne=True,
    en="The badge reader does not answer; charging can be started remotely.",
    fr="Le lecteur de badges ne répond pas ; le démarrage à distance reste possible.",
)  # fmt: skip
_row(
    "tic-lost", "", "OtherError", _WARNING, _REPORT, _SELF, owner=Owner.STATION, whole_borne=True,
    en="The Linky meter's TIC is silent: the borne keeps to a safe share of the supply.",
    fr="La TIC du compteur Linky est muette : la borne s'en tient à une part sûre de l'alimentation.",
)  # fmt: skip
_row(
    "building-meter-lost", "", "PowerMeterFailure", _WARNING, _REPORT, _SELF, owner=Owner.STATION, whole_borne=True,
    en="The building's meter is silent or wired wrongly: the borne keeps to a safe share of the supply.",
    fr="Le compteur du bâtiment est muet ou mal câblé : la borne s'en tient à une part sûre de l'alimentation.",
)  # fmt: skip
_row(
    "backend-offline", "CX013", "OtherError", _WARNING, _REPORT, _SELF, owner=Owner.STATION, whole_borne=True,
    en="The central system is not reachable; sessions go on and are reported later.",
    fr="Le système central est injoignable ; les sessions continuent et seront transmises plus tard.",
)  # fmt: skip
_row(
    "disk-full", "", "InternalError", _ERROR, _REPORT, _SELF, owner=Owner.STATION, whole_borne=True,
    en="The disk takes no writes: sessions go on in memory, and would be lost in a power cut.",
    fr="Le disque n'accepte plus d'écriture : les sessions vivent en mémoire et seraient perdues en cas de coupure.",
)  # fmt: skip
_row(
    "state-in-memory", "", "InternalError", _ERROR, _REPORT, _SELF, owner=Owner.STATION, whole_borne=True,
    en="What the borne keeps is in memory: sessions and latched faults would be lost in a power cut.",
    fr="Ce que la borne conserve est en mémoire : sessions et défauts verrouillés seraient perdus en cas de coupure.",
)  # fmt: skip
_row(
    "database-damaged", "", "InternalError", _CRITICAL, _REPORT, _TECHNICIAN, owner=Owner.STATION, whole_borne=True,
    en="The journal was damaged; what could be read of it was kept.",
    fr="Le journal était endommagé ; ce qui pouvait en être lu a été conservé.",
)  # fmt: skip
_row(
    "clock-unsynchronised", "", "OtherError", _WARNING, _REPORT, _SELF, owner=Owner.STATION, whole_borne=True,
    en="The clock has not been set: times are corrected once it is.",
    fr="L'horloge n'est pas à l'heure : les dates seront corrigées dès qu'elle le sera.",
)  # fmt: skip
_row(
    "safe-mode", "", "InternalError", _CRITICAL, _STOP, _SELF, owner=Owner.STATION, whole_borne=True,
    en="The station crashed again and again and is in safe mode: no charging; it is tried again by itself, `reset` tries now.",
    fr="La station s'est arrêtée plusieurs fois de suite : mode sûr, pas de charge ; nouvel essai automatique, `reset` essaie tout de suite.",
)  # fmt: skip
_row(
    "evse-process-lost", "", "InternalError", _CRITICAL, _STOP, _SELF, owner=Owner.STATION, whole_borne=True,
    en="The safety process does not answer: the board's watchdog opens the contactors (an external pilot controller may go on).",
    fr="Le processus de sécurité ne répond pas : le chien de garde de la carte ouvre les contacteurs (un contrôleur pilote externe peut continuer).",
)  # fmt: skip


def fault(name: str) -> FaultRow:
    """The row of that name. Raises KeyError for a name that no row has."""
    return FAULTS[name]


def row_of(name: str) -> FaultRow:
    """The row of that name. A name that no row has is another version's: it stands in the row of `unknown-latch`."""
    return FAULTS.get(name) or replace(FAULTS["unknown-latch"], name=name)


def stops(row: FaultRow) -> bool:
    """The fault keeps the point from charging."""
    return row.effect in (Effect.OPEN, Effect.STOP)
