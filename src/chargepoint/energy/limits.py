"""Named limits: the current offered to a car is the minimum of them, and the winner says why.

Each limit has a name (a row of `NAMES`), an owner (who set it, for people), the time since when it holds, and
possibly one until which it holds. No I/O and no clock: time, in monotonic seconds, is an argument.
"""

from collections.abc import Iterator
from dataclasses import dataclass

MINIMUM_A = 6.0
"""The least current a control pilot can offer (IEC 61851-1, A.2, table A.7). Below it nothing is offered."""

Sentence = tuple[str, str]
"""The same sentence in English and in French; `{amps}` and `{detail}` are filled in."""

NAMES: dict[str, Sentence] = {
    "socket": ("the socket is made for {amps} A", "la prise est prévue pour {amps} A"),
    "cable": ("the cable may carry {amps} A", "le câble supporte {amps} A"),
    "share": ("its share of the supply is {amps} A", "sa part de l'alimentation est de {amps} A"),
    "supply": ("the supply leaves {amps} A per phase", "l'alimentation laisse {amps} A par phase"),
    "safe-share": (
        "the supply is not measured ({detail}), so the safe share of {amps} A holds",
        "l'alimentation n'est pas mesurée ({detail}) : la part sûre de {amps} A s'applique",
    ),
    "tic": ("the Linky meter leaves {amps} A", "le compteur Linky laisse {amps} A"),
    "building-meter": ("the building leaves {amps} A", "le bâtiment laisse {amps} A"),
    "overload": (
        "the Linky meter reports an overload, so {amps} A",
        "le compteur Linky signale un dépassement : {amps} A",
    ),
    "temperature": ("the socket is too warm, so {amps} A", "la prise est trop chaude : {amps} A"),
    "ocpp-max": (
        "the operator limits the whole station, so {amps} A",
        "l'opérateur limite la borne entière : {amps} A",
    ),
    "ocpp-default": (
        "the operator's default profile allows {amps} A",
        "le profil par défaut de l'opérateur : {amps} A",
    ),
    "ocpp-transaction": (
        "the operator's profile for this session allows {amps} A",
        "le profil de l'opérateur pour cette session : {amps} A",
    ),
    "operator": ("the operator has set {amps} A", "l'opérateur a fixé {amps} A"),
    "technician": ("a technician has set {amps} A", "un technicien a fixé {amps} A"),
    "grid-signal": (
        "the grid operator asks for {amps} A at most",
        "le gestionnaire du réseau demande {amps} A au plus",
    ),
    "tariff": ("this car waits for off-peak hours, so {amps} A", "cette voiture attend les heures creuses : {amps} A"),
    "lease": ("the station has not renewed its permission", "la station n'a pas renouvelé son autorisation"),
    "unlimited": ("no limit is known, so nothing is offered", "aucune limite connue : rien n'est offert"),
}


PHRASES: tuple[Sentence, ...] = (
    ("building-meter: ", "compteur du bâtiment : "),
    ("tic: ", "Linky : "),
    ("never heard", "jamais entendu"),
    ("silent", "muet"),
    ("heard for a short time only", "entendu depuis peu seulement"),
    ("wired backwards on ", "monté à l'envers sur "),
    ("phases exchanged: ", "phases échangées : "),
    (" of the borne is seen on ", " de la borne apparaît sur "),
    ("does not see what the borne draws on ", "ne voit pas ce que la borne consomme sur "),
)
"""What the details of limits are made of (`energy.supply`), in both languages."""


@dataclass(frozen=True, slots=True)
class Limit:
    """One reason why a car gets no more than so much.

    `amps` None means: known, and at present not limiting. `since` and `until` are monotonic seconds.
    """

    name: str
    owner: str
    amps: float | None
    since: float
    until: float | None = None
    detail: str = ""

    def __post_init__(self) -> None:
        if self.name.split("#", 1)[0] not in NAMES:
            raise ValueError(f"limit name {self.name!r} is not in the table of names; add it there with its sentences")
        if self.amps is not None and not self.amps >= 0:
            raise ValueError(f"limit {self.name}: {self.amps} A is not a current; give 0 or more, or None")

    def active(self, now: float) -> bool:
        return self.until is None or now < self.until

    def sentence(self, lang: str = "en") -> str:
        """Why, as half a sentence, in English (`en`) or French (`fr`)."""
        text = NAMES[self.name.split("#", 1)[0]][1 if lang == "fr" else 0]
        detail = self.detail or "-"
        if lang == "fr":
            for english, french in PHRASES:
                detail = detail.replace(english, french)
        return text.format(amps=in_words(self.amps, lang), detail=detail)


def in_words(amps: float | None, lang: str = "en") -> str:
    """A current as people write it: at most one decimal, a comma in French."""
    if amps is None:
        return "sans limite" if lang == "fr" else "any number of"
    text = f"{amps:.1f}".removesuffix(".0")
    return text.replace(".", ",") if lang == "fr" else text


NOTHING_KNOWN = Limit("unlimited", "station", 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What may be offered (0, or 6 A and more) and the limit that decided it."""

    amps: float
    limit: Limit

    def sentence(self, lang: str = "en") -> str:
        """The winner in words; where it is below the minimum, that nothing is offered for it."""
        text = self.limit.sentence(lang)
        if self.amps > 0 or self.limit.amps is None or self.limit.amps <= 0:
            return text
        minimum = in_words(MINIMUM_A, lang)
        return text + (f" ; il en faut {minimum}" if lang == "fr" else f"; at least {minimum} A are needed")


class Limits:
    """The limits of one point. A name holds one limit; `name#key` makes room for several of a kind."""

    __slots__ = ("_limits",)

    def __init__(self) -> None:
        self._limits: dict[str, Limit] = {}

    def set(self, limit: Limit) -> bool:
        """Set or replace the limit of that name. True when its current or owner changed; else `since` stays."""
        old = self._limits.get(limit.name)
        if old is not None and (old.amps, old.owner) == (limit.amps, limit.owner):
            limit = Limit(limit.name, limit.owner, limit.amps, old.since, limit.until, limit.detail)
            self._limits[limit.name] = limit
            return False
        self._limits[limit.name] = limit
        return True

    def clear(self, name: str) -> bool:
        """Remove a limit; True when it was there."""
        return self._limits.pop(name, None) is not None

    def expire(self, now: float) -> tuple[Limit, ...]:
        """Remove and return what has run out."""
        gone = tuple(limit for limit in self._limits.values() if not limit.active(now))
        for limit in gone:
            del self._limits[limit.name]
        return gone

    def get(self, name: str) -> Limit | None:
        return self._limits.get(name)

    def __iter__(self) -> Iterator[Limit]:
        """Lowest first; those that do not limit last."""
        return iter(sorted(self._limits.values(), key=_rank))

    def winner(self, now: float, without: frozenset[str] = frozenset()) -> Verdict:
        """The minimum of all that hold, leaving out the names in `without`.

        Below 6 A nothing is offered. When no limit is known nothing is offered either: silence is not consent.
        """
        holding = [x for x in self._limits.values() if x.active(now) and x.amps is not None and x.name not in without]
        if not holding:
            return Verdict(0.0, NOTHING_KNOWN)
        lowest = min(holding, key=_rank)
        amps = lowest.amps or 0.0
        return Verdict(amps if amps >= MINIMUM_A else 0.0, lowest)


def _rank(limit: Limit) -> tuple[float, float, str]:
    """Order of limits: the lowest first, then the oldest."""
    return (float("inf") if limit.amps is None else limit.amps, limit.since, limit.name)
