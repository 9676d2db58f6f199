"""Who gets how much: the points' limits and wishes handed to the allocator, and its offers handed back.

Called once a second and on every change; the allocator itself keeps the pauses between two changes.
"""

from collections.abc import Mapping, Sequence

from chargepoint.config import Config, SharingSection
from chargepoint.connectors import DOMESTIC
from chargepoint.energy import allocator, reasons
from chargepoint.energy.allocator import Memory, Supply
from chargepoint.energy.limits import Limit
from chargepoint.station.api import ConnectorStatus
from chargepoint.station.indicators import waits_for
from chargepoint.station.point import Point

SHARED = frozenset(
    {"share", "supply", "ocpp-max"}
    | {f"{what}{meter}" for meter in ("tic", "building-meter") for what in ("", "overload#", "safe-share#")}
)
"""Limits of the sum over the points: shown at each of them, but shared out by the allocator."""
OUTCOMES = SHARED | {"lease"}
"""Limits that follow from the offer, and so do not bound it: `lease` says that the safety process has not got it."""
_STALE_S = 10.0
"""A measurement older than this says nothing of the present."""


class Power:
    """The supply, shared between the points."""

    def __init__(self, config: Config) -> None:
        supply, self._sharing = config.supply, config.sharing
        amps = supply.max_current
        self._phases = supply.phases
        self.supply = Supply((amps, amps, amps) if supply.phases == 3 else (amps, 0.0, 0.0))
        """What may be shared now; whoever measures the supply sets it anew."""
        self._memory: Memory = {}
        self.offers: dict[int, reasons.Offer] = {}

    @property
    def least_a(self) -> float:
        """What the supply gives on its fullest phase, A."""
        return min(self.supply.limit_a[: self._phases])

    def share(self, points: Sequence[Point], now: float, urgency: Mapping[int, float] | None = None) -> None:
        """Set every point's offer, and the limit `share` that says why. `urgency`: by point, for its weight."""
        factors = urgency or {}
        seats = [_seat(point, now, self._sharing, factors.get(point.id, 1.0)) for point in points]
        allocation = allocator.allocate(self.supply, seats, now, self._memory)
        self._memory, self.offers = allocation.memory, allocation.offers
        for point in points:
            offer = allocation.offers[point.id]
            point.offered_a, point.reason = offer.amps, offer.reason
            if point.wants and offer.reason in reasons.SHARING:
                point.limits.set(Limit("share", "station", offer.amps, now, offer.until, reasons.explain(offer)))
            else:
                point.limits.clear("share")

    def deciding(self, point: Point, now: float) -> Limit | None:
        """The limit that bounds the point's offer, or the supply that is shared out; None: the sharing itself."""
        offer = self.offers.get(point.id)
        if offer is None or offer.reason not in reasons.SHARING:
            return point.limits.winner(now, without=SHARED).limit
        return next((x for x in point.limits if x.name in SHARED and x.name != "share" and x.active(now)), None)

    def waits_for(self, point: Point, now: float) -> str:
        """The lamps' row for what the point waits for, where it is more than its status says; else empty."""
        if point.status is ConnectorStatus.PREPARING and point.session.state == "waiting_auth":
            return "waiting_authorisation"
        if point.status is not ConnectorStatus.SUSPENDED_EVSE or point.permitted:
            return ""
        if point.withheld:
            return "waiting_authorisation"
        limit = self.deciding(point, now)
        return "" if limit is None else waits_for(limit.name)


def _seat(point: Point, now: float, sharing: SharingSection, urgency: float) -> allocator.Point:
    reading, used = point.reading, point.used
    fresh = reading is not None and now - reading.at < _STALE_S
    grant = point.session.grant
    fleet = grant is not None and grant.group in sharing.fleet_groups
    return allocator.Point(
        id=point.id,
        wiring=used.lines,
        connected=point.session.connected,
        wants=point.wants,
        cap_a=point.limits.winner(now, without=OUTCOMES).amps,
        since=point.session.plugged_at,
        signalled_a=point.signalled_a,
        measured_a=tuple(reading.current_a[i] for i in used.meter_lines) if reading is not None and fresh else (),
        measured_at=reading.at if reading is not None else float("-inf"),
        energy_wh=max(0, reading.energy_wh - point.meter_start_wh) if reading is not None else 0.0,
        weight=point.config.weight * (sharing.fleet_weight if fleet else 1.0) * urgency,
        fixed_a=used.max_current if used.number == DOMESTIC else None,
    )
