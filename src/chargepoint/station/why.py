"""In one sentence: why a point is, or is not, charging, and at that current. The true cause, the first that applies."""

from typing import Final

from chargepoint.energy import allocator
from chargepoint.energy.limits import in_words
from chargepoint.station.point import Point
from chargepoint.station.power import SHARED, Power

_TEXTS: Final[dict[str, tuple[str, str]]] = {
    "no-evse": (
        "The safety process does not answer, so nothing is permitted.",
        "Le processus de sécurité ne répond pas : rien n'est autorisé.",
    ),
    "unavailable": ("The point is out of service by order.", "Le point est hors service sur ordre."),
    "reserved": ("The point is reserved and waits for its holder.", "Le point est réservé et attend son bénéficiaire."),
    "idle": ("No car is plugged in.", "Aucun véhicule n'est branché."),
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
        "A session from before the restart waits until its car is seen.",
        "Une session d'avant le redémarrage attend que son véhicule soit vu.",
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
    "self-test": (
        "A self-test of the protection runs before the start.",
        "Un autotest de la protection précède le départ.",
    ),
    "wake-up": ("The car is being woken up.", "Le véhicule est en cours de réveil."),
    "no-permission": ("The permission is on its way.", "L'autorisation est en route."),
    "charging": (
        "Charging at {current} A of {offer} A offered: {limit}.",
        "Charge à {current} A sur {offer} A proposés : {limit}.",
    ),
    "nothing-offered": ("No current is offered: {limit}.", "Aucun courant n'est proposé : {limit}."),
}


def _say(key: str, lang: str, **words: str) -> str:
    return _TEXTS[key][1 if lang == "fr" else 0].format(**words)


def why(point: Point, power: Power, now: float, operative: bool, lang: str = "en") -> str:
    """The sentence, in English (`en`) or French (`fr`)."""
    fault = point.fault()
    if fault is not None:
        text = fault.row.fr if lang == "fr" else fault.row.en
        return f"{text} ({fault.detail})" if fault.detail else text
    if point.report is None:
        return _say("no-evse", lang)
    if point.pending is not None:
        return _say("pending", lang)
    state = point.session.state
    if state == "running":
        return _running(point, power, now, lang)
    if not operative and state not in ("starting", "stopping"):
        return _say("unavailable", lang)
    if state == "idle" and point.reservation is not None:
        return _say("reserved", lang)
    if state == "finished" and point.session.retained:
        return _say("retained", lang)
    return _say(state, lang)


def _running(point: Point, power: Power, now: float, lang: str) -> str:
    report = point.report
    if point.withheld:
        return _say(point.withheld, lang)
    if not point.session.connected or report is None:
        return _say("car-gone", lang)
    limit = _limit(point, power, now, lang)
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


def _limit(point: Point, power: Power, now: float, lang: str) -> str:
    """What bounds the offer: the way the supply is shared, or the lowest of the point's own limits."""
    offer = power.offers.get(point.id)
    if offer is not None and offer.reason in ("share", "settling", "turn", "no-room", "hysteresis", "idle"):
        text = allocator.explain(offer, lang)
        if offer.phase is None:
            return text
        supply = next((x for x in point.limits if x.name in SHARED and x.name != "share" and x.active(now)), None)
        return text if supply is None else f"{text} ({supply.sentence(lang)})"
    return point.limits.winner(now, without=SHARED).sentence(lang)
