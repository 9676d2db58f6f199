"""What one point is, of what the configuration says of it."""

from dataclasses import dataclass, replace

from chargepoint.config import EvseSection


@dataclass(frozen=True, slots=True)
class PointConfig:
    """What a point is."""

    id: int
    max_current_a: float = 32.0
    socket: bool = True
    ventilated: bool = False
    domestic: bool = False
    """It has a domestic socket, connector 2."""
    domestic_a: float = 10.0
    """What that is made for: less than this cannot be signalled there, so less is nothing."""

    @classmethod
    def of(cls, section: EvseSection) -> "PointConfig":
        second = section.domestic
        own = cls(section.id, section.max_current, section.socket, section.ventilated)
        return own if second is None else replace(own, domestic=True, domestic_a=second.max_current)
