"""The domestic socket (Type E/F) of a point, its connector 2: no pilot, so current only under the station's lease.

It shares the point's residual current devices and its permission; of a point's two contactors at most one is
commanded closed, and it closes only when the other is confirmed open. Nothing tells the appliance what it may draw: the
lease must grant the whole current the socket is made for, or there is none.
"""

from typing import TYPE_CHECKING

from chargepoint.board.types import BorneInputs, PointInputs
from chargepoint.connectors import DOMESTIC
from chargepoint.evse.contactor import SETTLED_RESULTS, Contactor, Trouble

if TYPE_CHECKING:
    from chargepoint.evse.point import Point

MIRROR_PASSES = 5
"""The mirror contact stands behind the I/O expander: read anew every fifth pass (see `board`)."""
SETTLED_PASSES = SETTLED_RESULTS * MIRROR_PASSES
"""As many readings confirm the opening as of the other contactor (150 ms)."""
PLUG_S = 0.5
"""The plug (or lid) switch must hold for so long: it bounces while a plug goes in, and when somebody leans on it."""


class Domestic:
    """One domestic socket.

    Two views of one switch: as it is (nothing is on with an open switch), and `plugged`, which has held
    for `PLUG_S` and is what is told and counted.
    """

    __slots__ = ("_since", "contactor", "plug", "plug_count", "plugged")

    def __init__(self, now: float) -> None:
        self.contactor = Contactor(now, SETTLED_PASSES)
        self.plug: bool | None = None
        """The switch, as the last pass read it."""
        self.plugged = False
        self.plug_count = 0
        """Plugs that came since the start; one that is in at the start is the first."""
        self._since = now
        """When the switch last changed."""

    @property
    def live(self) -> bool:
        """Commanded closed, or not confirmed open: connector 1 must stay off."""
        return self.contactor.commanded or not self.contactor.open_confirmed

    @property
    def calm(self) -> bool:
        """Empty, off, and nothing about to change."""
        return not (self.plug or self.plugged or self.live) and self.contactor.trouble is Trouble.NONE

    def stable(self, now: float) -> bool:
        """The switch says that a plug is in, and has said so long enough."""
        return bool(self.plug) and now - self._since >= PLUG_S

    def see(self, plug: bool, now: float) -> bool:
        """The switch in this pass; True when a plug has come, or has gone, for good."""
        if plug != self.plug:
            first = self.plug is None
            self.plug, self._since = plug, now
            if first and plug:  # in since before the start: it does not bounce
                return self._now(True)
        if self.plug != self.plugged and now - self._since >= PLUG_S:
            return self._now(plug)
        return False

    def _now(self, plugged: bool) -> bool:
        self.plugged = plugged
        if plugged:
            self.plug_count += 1
            self.contactor.new_car()
        return True

    def step(self, now: float, closed: bool, allowed: bool) -> None:
        """One pass, after `see`. `closed`: as the mirror contact says; `allowed`: everything but the plug allows it.

        Without either it opens at once.
        """
        contactor = self.contactor
        if contactor.commanded and not (self.plug and allowed):
            contactor.open(now, under_load=True)  # an appliance is not asked to stop first
        contactor.step(now, allowed and self.stable(now), closed, closed)


def switch(point: "Point", socket: Domestic, i: PointInputs, b: BorneInputs, now: float) -> None:
    """The socket's contactor in this pass, after connector 1's."""
    blocked = blocked_by(point, socket, now, b.coil_watchdog_armed)
    if socket.plugged and point.lease.connector == DOMESTIC:
        point.blocked = blocked
    socket.step(now, i.domestic_closed, not blocked)


def blocked_by(point: "Point", socket: Domestic, now: float, armed: bool = True) -> str:
    """Why the domestic socket may not be on now, as a key of `point.BLOCKED`; empty when nothing stands in the way."""
    if point.faults.stops:
        return "fault"
    if not point.lease.allows(now, DOMESTIC):
        return "no-permission"
    if point.lease.current_a < point.config.domestic_a:
        return "current"
    if point.contactor.commanded or not point.contactor.open_confirmed:
        return "other-connector"
    if not (point.converter.settled and armed):
        return "board"
    if point.self_tests.running or not point.self_tests.in_date(now):
        return "self-test"
    if socket.contactor.commanded:
        return "" if socket.plug else "plug"
    if point.may_trip:
        return "board"
    if not socket.stable(now):
        return "plug"
    if not socket.contactor.open_confirmed:
        return "contactor"
    return "reclose-delay" if now < socket.contactor.may_close_at() else ""
