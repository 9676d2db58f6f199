"""In one sentence: why a point is, or is not, charging, and at that current. The true cause, the first that applies."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from chargepoint.connectors import DOMESTIC, TYPE_2
from chargepoint.energy import reasons
from chargepoint.energy.limits import in_words
from chargepoint.evse.messages import PointReport
from chargepoint.sentences import translate
from chargepoint.station.api import AuthStatus
from chargepoint.station.connectors import HINDRANCES, plugged
from chargepoint.station.entrance import Refusal
from chargepoint.station.faultlist import Active
from chargepoint.station.point import Point
from chargepoint.station.power import SHARED, Power
from chargepoint.station.status import DRAWS_A

_TEXTS: Final[dict[str, tuple[str, str]]] = {
    "no-evse": (
        "The safety process does not answer, so nothing is permitted.",
        "Le processus de sécurité ne répond pas : rien n'est autorisé.",
    ),
    "unavailable": ("The point is out of service by order.", "Le point est hors service sur ordre."),
    "socket-unavailable": ("The {socket} is out of service by order.", "La {socket} est hors service sur ordre."),
    "socket-out": (
        "What is plugged into the {socket} gets nothing: that socket is out of service by order.",
        "Ce qui est branché sur la {socket} ne reçoit rien : cette prise est hors service sur ordre.",
    ),
    "reserved": ("The point is reserved and waits for its holder.", "Le point est réservé et attend son bénéficiaire."),
    "idle": ("No car is plugged in.", "Aucun véhicule n'est branché."),
    "badge": (
        "A badge was accepted: plug the car in here or at another free point.",
        "Badge accepté : branchez le véhicule ici ou à un autre point libre.",
    ),
    "waiting_auth": (
        "A cable is plugged in and waits for a badge.",
        "Un câble est branché et attend un badge.",
    ),
    "waiting_car": (
        "A badge was accepted; no car is connected yet.",
        "Badge accepté ; aucun véhicule n'est encore branché.",
    ),
    "starting": ("The session is being recorded.", "La session est en cours d'enregistrement."),
    "stopping": ("The session is ending.", "La session se termine."),
    "finished": (
        "The session is over and the cable is still in; a badge starts a new one.",
        "La session est terminée et le câble est encore en place ; un badge en ouvre une nouvelle.",
    ),
    "retained": (
        "The session is over; the cable stays locked until its owner shows the badge.",
        "La session est terminée ; le câble reste verrouillé jusqu'à ce que son propriétaire présente son badge.",
    ),
    "invalid-token": (
        "The central system refused the badge after the start, so no more energy is given.",
        "Le système central a refusé le badge après le départ : plus d'énergie n'est délivrée.",
    ),
    "pending": (
        "A session from before the restart waits until its car is seen, and after a power cut a minute for the time.",
        "Une session d'avant le redémarrage attend que son véhicule soit vu et, après une coupure, l'heure (1 min).",
    ),
    "car-gone": ("The car has left; its session stays open.", "Le véhicule est parti ; sa session reste ouverte."),
    "car": (
        "The car does not ask for current; {offer} A are offered.",
        "Le véhicule ne demande pas de courant ; {offer} A lui sont proposés.",
    ),
    "lock": ("The lock has not yet confirmed the plug.", "Le verrou n'a pas encore confirmé la fiche."),
    "diode": ("The car's pilot diode is being checked.", "La diode pilote du véhicule est en cours de contrôle."),
    "reclose-delay": (
        "The contactor waits a moment before it closes again.",
        "Le contacteur attend un moment avant de se refermer.",
    ),
    "contactor": (
        "The contactor has not yet confirmed that it is open.",
        "Le contacteur n'a pas encore confirmé son ouverture.",
    ),
    "self-test": (
        "A self-test of the protection runs before the start.",
        "Un autotest de la protection précède le départ.",
    ),
    "controller": (
        "The car asks for current; the pilot controller has not closed its contactor yet.",
        "Le véhicule demande du courant ; le contrôleur pilote n'a pas encore fermé son contacteur.",
    ),
    "wake-up": ("The car is being woken up.", "Le véhicule est en cours de réveil."),
    "no-permission": ("The permission is on its way.", "L'autorisation est en route."),
    "charging": (
        "Charging at {current} A of {offer} A offered: {limit}.",
        "Charge à {current} A sur {offer} A proposés : {limit}.",
    ),
    "nothing-offered": ("No current is offered: {limit}.", "Aucun courant n'est proposé : {limit}."),
    "domestic-charging": (
        "Charging at {current} A from the domestic socket, which gives {offer} A at most.",
        "Charge à {current} A sur la prise domestique, qui donne {offer} A au plus.",
    ),
    "domestic-idle": (
        "What is plugged into the domestic socket draws no current; it may have {offer} A.",
        "Ce qui est branché sur la prise domestique ne consomme rien ; {offer} A lui sont permis.",
    ),
    "domestic-off": (
        "The domestic socket is off, for it gives its {offer} A or nothing: {limit}.",
        "La prise domestique est coupée, car elle donne ses {offer} A ou rien : {limit}.",
    ),
    "other-connector": (
        "The point's other contactor has not yet confirmed that it is open.",
        "L'autre contacteur du point n'a pas encore confirmé son ouverture.",
    ),
    "plug": ("The plug's switch is not steady yet.", "Le contact de la fiche n'est pas encore stable."),
    "second": (
        "{text}; what is plugged into the {socket} waits, for a point uses one connector at a time.",
        "{text} ; ce qui est branché sur la {socket} attend, car un point n'utilise qu'une prise à la fois.",
    ),
    "hindered": (
        "The {socket} cannot be used now: {reason}.",
        "La {socket} est inutilisable pour l'instant : {reason}.",
    ),
    "refused": (
        "Badge {token} was refused by the central system: {status}.",
        "Le badge {token} a été refusé par le système central : {status}.",
    ),
    "refused-offline": (
        "Badge {token} was refused: it is not known here, and the central system cannot be reached ({trouble}).",
        "Le badge {token} a été refusé : il n'est pas connu ici, et le système central est injoignable ({trouble}).",
    ),
    "offline": (
        "A cable is plugged in and waits for a badge; the central system cannot be reached ({trouble}).",
        "Un câble est branché et attend un badge ; le système central est injoignable ({trouble}).",
    ),
}

_STATUS_WORDS: Final[dict[AuthStatus, tuple[str, str]]] = {
    AuthStatus.BLOCKED: ("the badge is blocked", "le badge est bloqué"),
    AuthStatus.EXPIRED: ("the badge has expired", "le badge a expiré"),
    AuthStatus.INVALID: ("the badge is unknown", "le badge est inconnu"),
    AuthStatus.CONCURRENT: ("the badge is already charging elsewhere", "le badge charge déjà ailleurs"),
}

_TROUBLES: Final[dict[str, tuple[str, str]]] = {
    "certificate has expired": ("its certificate has expired", "son certificat a expiré"),
    "certificate is not yet valid": (
        "its certificate is not yet valid: is the clock wrong?",
        "son certificat n'est pas encore valable : l'horloge est-elle fausse ?",
    ),
    "certificate verify failed": ("its certificate cannot be trusted", "son certificat n'est pas de confiance"),
    "Connect call failed": ("nobody answers at its address", "personne ne répond à son adresse"),
    "getaddrinfo": ("its name is not found", "son nom est introuvable"),
    "Name or service": ("its name is not found", "son nom est introuvable"),
    "nothing is answered": (
        "it takes the connection and answers nothing",
        "il accepte la connexion mais ne répond rien",
    ),
    "HTTP 401": ("it refuses the password", "il refuse le mot de passe"),
    "registration": ("it has not accepted this borne yet", "il n'a pas encore accepté cette borne"),
    "HTTP 404": ("it does not know this borne", "il ne connaît pas cette borne"),
}
"""What a failed connection says, in part, and how a person would say it. The first that fits."""

_SOCKETS: Final[dict[int, tuple[str, str]]] = {
    TYPE_2: ("Type 2 socket", "prise de type 2"),
    DOMESTIC: ("domestic socket", "prise domestique"),
}

REFUSAL_S: Final = 180.0
"""A refused badge is the reason for so long."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What lies outside a point and may still be why it does not charge."""

    faults: Iterable[Active] = ()
    """Those of the whole borne."""
    refusal: Refusal | None = None
    offline: bool = False
    """There is a central system, and it cannot be reached."""
    trouble: str = ""
    """Why not, as the link says it."""
    away: str = ""
    """Since when, and what was done about it."""
    badge_waits: bool = False
    """An accepted badge waits for a plug at this point or at another."""


def _say(key: str, lang: str, **words: str) -> str:
    return _TEXTS[key][1 if lang == "fr" else 0].format(**words)


def why(
    point: Point,
    power: Power,
    now: float,
    operative: bool,
    lang: str = "en",
    around: Surroundings = Surroundings(),
    connector: int | None = None,
) -> str:
    """The sentence, in English (`en`) or French (`fr`); about the connector in use, or about this one."""
    fault = point.fault()
    if fault is not None:
        return _fault(fault, lang)
    if point.report is None:
        return _say("no-evse", lang)
    if connector is not None and not (point.connectors[connector].operative or _busy(point, connector)):
        return _say("socket-unavailable", lang, socket=_SOCKETS[connector][lang == "fr"])
    if connector is not None and (hindered := point.hindered(connector)):
        reason = translate(HINDRANCES[connector, hindered], lang)
        return _say("hindered", lang, socket=_SOCKETS[connector][lang == "fr"], reason=reason)
    text = _session(point, power, now, operative, lang, around)
    for number in point.connectors:
        if connector is not None or not plugged(point.report, number):
            continue
        if point.hindered(number):
            return _say("second", lang, text=text.removesuffix("."), socket=_SOCKETS[number][lang == "fr"])
        if operative and not point.connectors[number].operative and point.session.state == "idle":
            return _say("socket-out", lang, socket=_SOCKETS[number][lang == "fr"])
    return text


def _busy(point: Point, connector: int) -> bool:
    """A session at this connector goes on, or comes to its end."""
    return point.session.state in ("starting", "running", "stopping") and point.used.number == connector


def _session(point: Point, power: Power, now: float, operative: bool, lang: str, around: Surroundings) -> str:
    """Of the connector in use."""
    if point.pending is not None:
        return _say("pending", lang)
    state = point.session.state
    if state == "running":
        return _running(point, power, now, lang)
    if not operative and state not in ("starting", "stopping"):
        return _say("unavailable", lang)
    if state == "idle" and point.reservation is not None:
        return _say("reserved", lang)
    hindrance = _hindrance(point, now, lang, around) if state in ("idle", "waiting_auth", "finished") else ""
    if hindrance:
        return hindrance
    if state == "idle" and around.badge_waits:
        return _say("badge", lang)
    if state == "finished" and point.session.retained:
        return _say("retained", lang)
    return _say(state, lang)


def _hindrance(point: Point, now: float, lang: str, around: Surroundings) -> str:
    """What keeps a session from beginning here, when it is not the car: the first that applies, or nothing."""
    refusal = around.refusal
    if refusal is not None and now - refusal.at < REFUSAL_S:
        if refusal.online:
            status = _STATUS_WORDS.get(refusal.status, (refusal.status.value, refusal.status.value))
            return _say("refused", lang, token=refusal.token, status=status[lang == "fr"])
        return _say("refused-offline", lang, token=refusal.token, trouble=_trouble(around.trouble, lang))
    for fault in (*point.faults, *around.faults):
        if fault.name in _HINDERING:
            return _fault(fault, lang)
    if around.offline and point.session.state == "waiting_auth":
        trouble = _trouble(around.trouble, lang)
        return _say("offline", lang, trouble=f"{trouble}; {translate(around.away, lang)}" if around.away else trouble)
    return ""


_HINDERING: Final = frozenset({"meter-lost", "reader-lost", "disk-full", "evse-process-lost"})
"""Faults that stop no session that runs, and yet may be why none begins."""


def _fault(fault: Active, lang: str) -> str:
    text = fault.row.fr if lang == "fr" else fault.row.en
    return f"{text} ({translate(fault.detail, lang)})" if fault.detail else text


def _trouble(said: str, lang: str) -> str:
    known = next((words for part, words in _TROUBLES.items() if part in said), None)
    return known[lang == "fr"] if known else translate(said, lang) or "?"


def _running(point: Point, power: Power, now: float, lang: str) -> str:
    report = point.report
    if point.withheld:
        return _say(point.withheld, lang)
    if not point.session.connected or report is None:
        return _say("car-gone", lang)
    limit = _limit(point, power, now, lang)
    if point.used.number == DOMESTIC:
        return _domestic(point, report, limit, lang)
    if not point.permitted:
        return _say("nothing-offered", lang, limit=limit)
    offer = in_words(point.offered_a, lang)
    if report.contactor_closed:
        currents = [a for a in point.reading.current_a if a is not None] if point.reading is not None else []
        current = in_words(round(max(currents), 1), lang) if currents else "?"
        if report.state[:1] == "B":
            return _say("car", lang, offer=offer)
        return _say("charging", lang, current=current, offer=offer, limit=limit)
    key = report.waiting if report.waiting in _TEXTS else "no-permission"
    return _say(key, lang, offer=offer)


def _domestic(point: Point, report: PointReport, limit: str, lang: str) -> str:
    """A session in the domestic socket, where no pilot tells what the other side wants."""
    offer = in_words(point.used.max_current, lang)
    if not point.permitted:
        return _say("domestic-off", lang, offer=offer, limit=limit)
    if not report.domestic_closed:
        return _say(report.waiting if report.waiting in _TEXTS else "no-permission", lang, offer=offer)
    if point.drawn_a <= DRAWS_A:
        return _say("domestic-idle", lang, offer=offer)
    return _say("domestic-charging", lang, current=in_words(round(point.drawn_a, 1), lang), offer=offer)


def _limit(point: Point, power: Power, now: float, lang: str) -> str:
    """What bounds the offer: the way the supply is shared, or the lowest of the point's own limits."""
    offer = power.offers.get(point.id)
    if offer is not None and offer.reason in reasons.SHARING:
        text = reasons.explain(offer, lang, now)
        if offer.phase is None:
            return text
        supply = power.deciding(point, now)
        return text if supply is None else f"{text} ({supply.sentence(lang)})"
    return point.limits.winner(now, without=SHARED).sentence(lang)
