"""One point of the station: its session, everything that is known of it, and what it does about the session's effects.

The pure parts decide (`session`, `status`, `energy.limits`); this object holds the present facts, carries out
effects, and is the only place from which a permission for the point comes.
"""

import asyncio
from typing import Final

import structlog

from chargepoint.config import EvseSection
from chargepoint.connectors import DOMESTIC, TYPE_2
from chargepoint.energy.limits import Limit, Limits
from chargepoint.evse.messages import Buzz, Lamps, Permit, PointReport
from chargepoint.journal.stamp import Stamp
from chargepoint.journal.transactions import OpenTransaction
from chargepoint.meter.reading import Reading
from chargepoint.station import connectors, metering, status
from chargepoint.station.api import BayChanged, ConnectorStatus, MeterValue, Reservation, StatusChanged, StopReason
from chargepoint.station.badges import View
from chargepoint.station.bay import Bay
from chargepoint.station.books import Books
from chargepoint.station.connectors import Connector
from chargepoint.station.endings import Ending
from chargepoint.station.faultlist import Active, FaultList, blocking, overdue, shows_faulted
from chargepoint.station.guard import MeterGuard, News
from chargepoint.station.restart import KEEP_REGISTER_S, Restart
from chargepoint.station.session import Begin, Dropped, End, Session, TimedOut
from chargepoint.station.shared import Shared

log = structlog.get_logger()

LEASE_GRACE_S: Final = 3.0
"""A permission is renewed every 2 s; one that the safety process has not got by then is worth a limit of its own."""


class Point:
    """The live state of one point. Event-loop only."""

    def __init__(self, config: EvseSection, shared: Shared, nominal_v: float) -> None:
        self.config = config
        self.id = config.id
        self._shared = shared
        self.session = Session(shared.settings)
        self.books = Books(self, shared)
        self._restart = Restart(self, shared)
        self.faults = FaultList()
        self.limits = Limits()
        self._guard = MeterGuard(nominal_v, config.phases)
        self.report: PointReport | None = None
        """What the safety process said last; None while there is no link to it."""
        self.reading: Reading | None = None
        self.bay = Bay()
        self.connectors = connectors.connectors(config, shared.clock.monotonic())
        """By number."""
        self.reservation: int | None = None
        """Id of the reservation for which the point is kept, or with which its session runs."""
        self.reserved_connector = 0
        """The connector it was made for; 0: any."""
        self.offered_a = 0.0
        """What the station lets the car have, A; 0 when nothing."""
        self.reason = ""
        """Why no more: a key of `energy.reasons.REASONS`."""
        self.withheld = ""
        """Why energy is withheld from a running transaction; empty when it is not."""
        self.more_wh: int | None = None
        """Energy that may still be delivered after the token was found invalid, counted from `invalid_wh`."""
        self.invalid_wh = 0
        self.meter_start_wh = 0
        self.ended_by = StopReason.OTHER
        """Why the last session ended."""
        self.pending: OpenTransaction | None = None
        """A transaction of before a restart, until its car has been seen or missed."""
        self.ending: Ending | None = None
        """How that transaction was to end, if it was ending when the restart came; until it has."""
        self._begun_at = float("-inf")
        self._kept_at = float("-inf")
        self._next_sample = float("inf")
        self._moment: tuple[str, float] = ("", float("-inf"))
        self._reported = asyncio.Event()
        self._drew_at = TYPE_2
        """The connector an over-current was, or would be, drawn at: it is over when nothing is plugged there."""
        self._allowed_at: float | None = None
        """Since when the car is permitted current; None while it is not."""

    # Its connectors

    @property
    def used(self) -> Connector:
        """The connector the session is about; Type 2 while nothing is."""
        return self.connectors[self.session.connector]

    @property
    def occupied(self) -> int | None:
        """The connector that keeps the others from being used; None when none does.

        A plug that nobody has been let in with yet, or any more, keeps nobody out.
        """
        if self.pending is not None and self.session.state == "idle":
            return self.pending.connector
        return self.session.connector if connectors.holds(self.session) else None

    @property
    def status(self) -> ConnectorStatus:
        """Of the connector in use."""
        return self.used.status

    @property
    def status_at(self) -> float:
        return self.used.status_at

    @property
    def operative(self) -> bool:
        """One of its connectors is in service."""
        return any(connector.operative for connector in self.connectors.values())

    @property
    def live(self) -> bool:
        """One of its contactors is not open."""
        return self.report is not None and connectors.live(self.report)

    @property
    def drawn_a(self) -> float:
        """What the meter sees on the conductors of the connector in use, A."""
        amps = self.reading.current_a if self.reading is not None else ()
        return max((amps[i] or 0.0 for i in self.used.meter_lines if i < len(amps)), default=0.0)

    @property
    def signalled_a(self) -> float:
        """What may be drawn now, A: by the pilot, or where there is none by the contactor's being closed."""
        report = self.report
        if report is None:
            return 0.0
        if self.session.connector == DOMESTIC:
            return self.used.max_current if report.domestic_commanded else 0.0
        return report.offered_a

    def turn_to(self, number: int, now: float) -> None:
        """Look at this connector from now on; what is plugged at another has had its chance."""
        session = self.session
        if number != session.connector:
            session.car_is(None, now)
            session.cable(False, now)
            session.use(number)

    # What comes in

    def reported(self, report: PointReport, now: float) -> None:
        """The safety process told the point's state."""
        believed = self._restart.believed(report, now)
        self.report = report
        self._reported.set()
        self.faults.reported(report.faults)
        if believed:
            self._see_car(report, now)
        self._limits_of(report, now)
        self._guard.signalled(self.signalled_a, now)

    def link_lost(self) -> None:
        """Nothing is known of the pins any more; the lease runs out by itself."""
        self.report = None
        self._reported.set()

    def _limits_of(self, report: PointReport, now: float) -> None:
        self.limits.set(Limit("socket", "configuration", self.used.max_current, now))
        if report.cable_a is None or self.session.connector != TYPE_2:
            self.limits.clear("cable")
        else:
            self.limits.set(Limit("cable", "proximity contact", report.cable_a, now))
        if report.derate < 1.0 and self.session.connector == TYPE_2:  # whose contacts the sensor is at
            derated = round(self.config.max_current * report.derate, 1)
            self.limits.set(Limit("temperature", "safety process", derated, now))
        else:
            self.limits.clear("temperature")
        if self._allowed_at is None or report.permitted or now - self._allowed_at < LEASE_GRACE_S:
            self.limits.clear("lease")
        else:
            self.limits.set(Limit("lease", "safety process", 0.0, now))

    def _see_car(self, report: PointReport, now: float) -> None:
        self._restart.look(report, now)
        for connector in self.connectors.values():
            connector.see(report, now)
        session = self.session
        if self.pending is not None and self.pending.connector in self.connectors:
            number = self.pending.connector
        else:
            number = connectors.follow(session, self.connectors, now)
        self.turn_to(number, now)
        plugged, car = connectors.plugged(report, number), connectors.car(report, number)
        unknown = connectors.car_unknown(report, number)
        kept = self.pending is not None or connectors.holds(session) or connectors.just_left(session, number, now)
        if not self.connectors[number].operative and not kept:
            plugged, car, unknown = False, None, False  # out of service: what is plugged there begins nothing
        if plugged:
            session.cable(True, now)
        if car is not None or not unknown:
            session.car_is(car, now)
        if not plugged and session.car is None:
            session.cable(False, now)
        if "over-current" not in self.faults:
            self._drew_at = number
        if self.connectors[self._drew_at].came_at is None:
            self._take(self._guard.unplugged(), now)

    def read(self, reading: Reading, now: float) -> bool:
        """The meter told a reading; True when something follows from it."""
        self.reading = reading
        report = self.report
        closed = report is not None and (report.contactor_closed or report.domestic_closed)
        news = self._guard.read(reading, closed, now)
        self._take(news, now)
        return self._meter_session(reading, now) or bool(news)

    def _meter_session(self, reading: Reading, now: float) -> bool:
        """What a reading means to a running session; True when its energy is used up."""
        session = self.session
        if session.state != "running" or session.tx is None:
            return False
        used_up = self.more_wh is not None and reading.energy_wh - self.invalid_wh >= self.more_wh
        news = used_up and not self.withheld
        if news:
            self.withheld = "invalid-token"
        if now - self._kept_at >= KEEP_REGISTER_S:
            self._kept_at = now
            tx, wh, stamp = session.tx, reading.energy_wh, self._shared.clock.stamp(reading.at)
            self._shared.spawn(self.books.keep_register(tx, stamp, wh))
        return news

    def _take(self, news: list[News], now: float) -> None:
        for item in news:
            log.warning("fault", evse=self.id, fault=item.name, on=item.on, detail=item.detail)
            self.faults.own(item.name, item.on, now, item.detail)
            if item.on:
                self._shared.link.record(self.id, item.name)

    def tick(self, now: float) -> None:
        """A second has passed."""
        self.session.tick(now)
        self.limits.expire(now)
        self.end_if_overdue(now)
        if self.session.state == "running" and now >= self._next_sample:
            self._schedule_sample(now)
            self.sample("Sample.Periodic", self._shared.clock.stamp())

    def end_if_overdue(self, now: float) -> None:
        """End a session that has waited long enough for a fault's end."""
        worst = overdue(self.faults, now) if self.session.state == "running" else None
        if worst is not None:
            reason = StopReason.EMERGENCY_STOP if worst.name == "emergency-stop" else StopReason.OTHER
            log.warning("session ended by a fault", evse=self.id, fault=worst.name, detail=worst.detail)
            self.session.stop(reason, None, now)

    def look_at_bay(self, now: float) -> BayChanged | None:
        """The news of the bay's sensor; None when there is none."""
        if self.report is None or not self.bay.see(self.report.bay_occupied, now):
            return None
        return BayChanged(self.id, self.bay.occupied, self.reservation, self._shared.clock.now())

    # Carrying out the session's effects

    def carry_out(self) -> bool:
        """Start what the session asks for; True when there was something."""
        effects, self.session.effects = self.session.effects, []
        for effect in effects:
            match effect:
                case Begin():
                    self._shared.spawn(self.books.begin(effect))
                case End():
                    self._shared.spawn(self.books.end(effect))
                case Dropped():
                    log.info("authorisation came to nothing", evse=self.id, how=effect.grant.how)
                case TimedOut():
                    log.info("plugged but not authorised in time", evse=self.id)
        return bool(effects)

    async def next_report(self) -> None:
        """Wait until the safety process has said something new, or is lost."""
        self._reported.clear()
        await self._reported.wait()

    def begun(self, tx: int, meter_start_wh: int) -> None:
        """The start is durable: the session runs."""
        now = self._shared.clock.monotonic()
        self.meter_start_wh = meter_start_wh
        self.withheld, self.more_wh = "", None
        self._begun_at = self._kept_at = now
        self._schedule_sample(now)
        self.session.begun(tx)

    def resumed(self, now: float) -> None:
        """The transaction of before a restart goes on."""
        self.pending = None
        self._begun_at = now
        self._schedule_sample(now)

    def not_begun(self) -> None:
        """No transaction could be begun; shown as a refusal."""
        self.session.begin_failed()
        self.moment("refused")
        self._shared.changed()

    def ended(self, reason: StopReason) -> None:
        """The end is durable: the session is over, and an availability that waited for it comes."""
        self.ended_by, self.ending = reason, None
        self.session.ended(self._shared.clock.monotonic())
        self.withheld, self.more_wh = "", None
        self.availability_due()

    def availability_due(self) -> None:
        """No transaction is open any more: what was scheduled for its end comes."""
        for connector in self.connectors.values():
            if connector.scheduled is not None:
                connector.set(connector.scheduled, busy=False)

    # Meter values

    def values(self, reading: Reading, measurands: tuple[str, ...], context: str) -> list[MeterValue]:
        """What the reading has of these measurands."""
        temperature = self.report.temperature_c if self.report is not None else None
        return metering.values(reading, measurands, context, self.signalled_a, len(self.used.lines), temperature)

    def present_values(
        self, measurands: tuple[str, ...], context: str, connector: int | None = None
    ) -> list[MeterValue]:
        """Values of the last reading, empty before the first one.

        The meter is the point's: of a `connector` beside the one in use only its register and the voltages are told.
        """
        if self.reading is None:
            return []
        if connector is not None and self.occupied not in (None, connector):
            measurands = tuple(name for name in measurands if name.startswith(metering.AT_REST))
        return self.values(self.reading, measurands, context)

    def _schedule_sample(self, now: float) -> None:
        interval = self._shared.settings.sample_interval_s
        self._next_sample = now + interval if interval > 0 else float("inf")

    def settings_changed(self, now: float) -> None:
        """Timers begin anew."""
        if self.session.state == "running":
            self._schedule_sample(now)

    def sample(self, context: str, stamp: Stamp) -> None:
        """Record values of the running transaction as of `stamp`."""
        tx, reading = self.session.tx, self.reading
        if tx is None or reading is None or self._shared.meters.lost(self.id):
            return
        self._kept_at = self._shared.clock.monotonic()
        self._shared.spawn(self.books.sample(tx, reading, context, stamp))

    # What follows from the facts

    def fault(self) -> Active | None:
        """The worst fault that stops the point."""
        return blocking(self.faults)

    @property
    def usable(self) -> bool:
        """A new session may begin here."""
        return self.takes(None)

    def takes(self, connector: int | None) -> bool:
        """A new session may begin at this connector (None: at the plugged one, or at any when nothing is plugged)."""
        if connector is None and self.session.plugged:
            connector = self.session.connector
        wanted = self.connectors if connector is None else {connector}
        free = [c for n, c in self.connectors.items() if n in wanted and self.occupied in (None, n)]
        return any(c.operative for c in free) and self.fault() is None and self.pending is None

    @property
    def wants(self) -> bool:
        """The car may have current now, if there is any."""
        session = self.session
        return (
            session.state in ("starting", "running")
            and session.connected
            and not session.ending
            and not self.withheld
            and self.fault() is None
        )

    @property
    def permitted(self) -> bool:
        return self.session.state == "running" and self.wants and self.offered_a > 0

    def permit(self) -> Permit | None:
        """The permission as it follows from everything known; None: what was said before (a restart) holds for now.

        A domestic socket opens at once when its permission goes: one that the station of before gave is left to run out
        until it is known whether its plug is still in.
        """
        connector = self.session.connector if self.pending is None else self.pending.connector
        if self.pending is not None and connector == DOMESTIC and not self._restart.closing:
            return None
        current = self.offered_a if connector == TYPE_2 else self.used.max_current
        return Permit(
            evse=self.id,
            allowed=self.permitted,
            current_a=current if self.permitted else 0.0,
            hold_lock=connector == TYPE_2 and (self.session.holds_lock or self.pending is not None),
            connector=connector,
        )

    def moment(self, kind: str) -> None:
        """Show something for a moment (one of `indicators.MOMENTS`, or `test`)."""
        seconds = self._shared.indicators.moment_s(kind, self._shared.settings.blink_repeat)
        self._moment = (kind, self._shared.clock.monotonic() + seconds)
        self.sound(kind)

    def sound(self, kind: str) -> bool:
        """Sound the borne's buzzer (one of `indicators.Indicators.tones`); False when there is nothing to hear."""
        tones = self._shared.indicators.tones.get(kind)
        if tones:
            self._shared.link.buzz(Buzz(self.id, tones))
        return bool(tones)

    def lamps(self, now: float, waits_for: str = "") -> Lamps:
        """What to show; `waits_for`: one of `indicators.WAITING`, where that says more than the status."""
        kind, until = self._moment
        if kind and now < until:
            return Lamps(self.id, self._shared.indicators.moments[kind])
        return Lamps(self.id, self._shared.indicators.shown(self.status, waits_for))

    def show_reservation(self, held: Reservation | None) -> None:
        """The reservation that holds the point now; a session's own is shown as long as it lasts."""
        grant = self.session.grant
        in_use = self.session.state in ("waiting_car", "starting", "running", "stopping")
        self.reservation = held.id if held is not None else None
        self.reserved_connector = held.connector if held is not None else 0
        if grant is not None and in_use:
            self.reservation = grant.reservation

    def settle(self, now: float, station_operative: bool) -> list[StatusChanged]:
        """Work the statuses of its connectors out anew; the news for the backend."""
        if not self.permitted:
            self._allowed_at = None
        elif self._allowed_at is None:
            self._allowed_at = now
        news = []
        for connector in self.connectors.values():
            derived = self._derive(connector, now, station_operative)
            if derived is not connector.status:
                if derived is ConnectorStatus.FAULTED:
                    self.sound("fault")
                connector.status, connector.status_at = derived, now
            told = (derived, self._error())
            if told != connector.told:
                connector.told = told
                news.append(self.status_changed(connector.number))
        return news

    def _derive(self, connector: Connector, now: float, station_operative: bool) -> ConnectorStatus:
        faulted = shows_faulted(self.faults, self.session.state == "running")
        operative = connector.operative and station_operative
        if not faulted and self.hindered(connector.number):
            return ConnectorStatus.UNAVAILABLE
        if not faulted and operative and self.beside(connector.number):
            return connector.aside(self.reservation is not None)
        if not faulted and self.pending is not None and self.pending.connector == connector.number:
            return ConnectorStatus.SUSPENDED_EVSE  # its transaction is open, whatever becomes of it
        return status.derive(
            self.session,
            self.report,
            self.permitted,
            connector.status,
            now - self._begun_at,
            operative,
            faulted,
            self.reservation is not None,
            self.drawn_a,
        )

    def hindered(self, connector: int) -> str:
        """Why this connector cannot be used because of another one of the point, as a key; empty when it can."""
        if self.occupied not in (None, connector):
            return "other-in-use"
        idle = self.session.state == "idle" or self.beside(connector)
        if idle and self.reservation is not None:
            return "" if self.reserved_connector in (0, connector) else "other-reserved"
        return ""

    def beside(self, connector: int) -> bool:
        """The session is at another one, where something is plugged in without keeping anybody out."""
        return self.session.state in ("waiting_auth", "finished") and self.session.connector != connector

    def _error(self) -> str | None:
        return next((f.name for f in self.faults), None)

    def status_changed(self, number: int = TYPE_2) -> StatusChanged:
        """The present status of a connector as the backend is told it."""
        connector = self.connectors[number]
        worst = next(iter(self.faults), None)
        detail = worst.detail if worst is not None else connectors.HINDRANCES.get((number, self.hindered(number)), "")
        at = self._shared.clock.utc_of(connector.status_at)
        return StatusChanged(self.id, connector.status, self._error(), detail, at, number)

    def view(self, usable: bool, reserved: bool) -> View:
        """As the decision about a badge sees it."""
        session = self.session
        grant = session.grant
        spare = (c.number for c in self.connectors.values() if c.came_at is None and c.operative)
        mine = session.state == "finished" and self.reserved_connector == 0
        return View(
            self.id,
            session.state,
            grant.token if grant is not None else None,
            grant.group if grant is not None else None,
            session.connected,
            session.plugged_at,
            session.began_at,
            self.live,
            session.ended_at,
            session.stopper,
            session.retained,
            usable,
            reserved,
            next((n for n in spare if self.beside(n) and (mine or self.reserved_connector == n)), None),
        )
