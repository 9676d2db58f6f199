"""What a point is offered, and the reason in words: why no more, why not now. No I/O, no clock."""

from dataclasses import dataclass
from math import ceil


@dataclass(frozen=True, slots=True)
class Offer:
    """What a point is offered, and why no more."""

    amps: float
    """0, or 6 and more; steps of 0.1 A, rounded down."""
    target_a: float
    """Where it is heading."""
    reason: str
    """A key of `REASONS`."""
    phase: int | None = None
    """The supply phase (0..2) that is full, where one is the reason."""
    until: float | None = None
    """When this may change by itself at the latest, where known."""


REASONS: dict[str, tuple[str, str]] = {
    "no-car": ("no car is connected", "aucune voiture n'est branchée"),
    "not-asking": ("charging is not allowed at present", "la charge n'est pas autorisée pour l'instant"),
    "own-limit": ("its own limits leave less than 6 A", "ses propres limites laissent moins de 6 A"),
    "full": ("it gets all that its own limits allow", "elle reçoit tout ce que ses propres limites permettent"),
    "share": (
        "phase {phase} is full and shared between the cars on it",
        "la phase {phase} est pleine et partagée entre les voitures qui y sont",
    ),
    "supply": ("phase {phase} leaves no more", "la phase {phase} n'en laisse pas davantage"),
    "idle": (
        "the car draws less than offered, so others use the rest",
        "la voiture prend moins que proposé : les autres utilisent le reste",
    ),
    "settling": (
        "it waits until another car has lowered its current",
        "elle attend qu'une autre voiture ait baissé son courant",
    ),
    "turn": ("not all cars fit, so they take turns", "il n'y a pas place pour toutes : chacune son tour"),
    "no-room": ("phase {phase} leaves less than 6 A", "la phase {phase} laisse moins de 6 A"),
    "no-room-fixed": (
        "phase {phase} leaves less than the domestic socket needs",
        "la phase {phase} laisse moins qu'il n'en faut à la prise domestique",
    ),
    "hysteresis": (
        "it was paused a moment ago and waits before it starts again",
        "elle vient d'être mise en pause et attend avant de reprendre",
    ),
}


SHARING = frozenset({"share", "supply", "idle", "settling", "turn", "no-room", "no-room-fixed", "hysteresis"})
"""Reasons that lie in the supply and in the others, not in the point's own limits."""


def explain(offer: Offer, lang: str = "en", now: float | None = None) -> str:
    """The reason of an offer as half a sentence, in English (`en`) or French (`fr`); with `now`, how long at most."""
    phase = "?" if offer.phase is None else f"L{offer.phase + 1}"
    text = REASONS[offer.reason][1 if lang == "fr" else 0].format(phase=phase)
    if now is None or offer.until is None or offer.until <= now:
        return text
    minutes = ceil((offer.until - now) / 60)
    return text + (f" ; encore {minutes} min au plus" if lang == "fr" else f"; {minutes} min more at most")
