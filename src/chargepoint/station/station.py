"""The station as the protocol rooms, the console and the tests see it: the commands and questions of `StationApi`."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import structlog

from chargepoint.connectors import TYPE_2
from chargepoint.energy.composite import Composite
from chargepoint.energy.profiles import Profile, Purpose
from chargepoint.faults import Owner, Recover
from chargepoint.journal import outbox, store, tokens, transactions
from chargepoint.station import authorisation
from chargepoint.station.api import Authorization, MeterSampled, Outcome, Reservation, SecurityEvent, StopReason
from chargepoint.station.connectors import Connector
from chargepoint.station.core import AVAILABILITY, StationCore
from chargepoint.station.evse_link import LinkLost
from chargepoint.station.point import Point

log = structlog.get_logger()

STOP_WAIT_S: Final = 20.0
TAKEN_UP_S: Final = 15.0
"""How long a remote stop or an unlock waits for a transaction of before a restart to be taken up or closed."""
UNLOCK_WAIT_S: Final = 10.0
GOING_DOWN_S: Final = 60.0
"""A machine that was told to start anew ends this process within that time."""
RESET_WAIT_S: Final = {False: 30.0, True: 5.0}
"""How long a reset waits for transactions to end: soft, hard."""
_BUSY: Final = ("starting", "running", "stopping")
_POLL_S: Final = 0.1


class Station(StationCore):
    """The business core. Make it, `attach` what talks to it, `await run()`."""

    async def remote_start(
        self, token: str, evse: int | None, profile: Any | None = None, connector: int | None = None
    ) -> Outcome:
        outcome = await self.entrance.remote_start(token, evse, profile, connector)
        self._settle()
        return outcome

    async def set_profile(self, profile: Profile) -> Outcome:
        outcome = await self.profiles.install(profile)
        self._settle()
        return outcome

    async def clear_profiles(
        self,
        id: int | None = None,
        evse: int | None = None,
        purpose: Purpose | None = None,
        stack: int | None = None,
        connector: int | None = None,
    ) -> Outcome:
        outcome = await self.profiles.clear(id, evse, purpose, stack, connector)
        self._settle()
        return outcome

    async def departure(self, evse: int, at: datetime, energy_wh: int) -> Outcome:
        outcome = await self.departures.tell(self.points.get(evse), at, energy_wh)
        self._settle()
        return outcome

    def composite(self, evse: int, duration: int, unit: str, connector: int = TYPE_2) -> Composite | None:
        return self.profiles.composite(self.points, evse, duration, unit, connector)

    async def remote_stop(self, backend_tx_id: str) -> Outcome:
        tx = await self.journal.read(lambda db: transactions.by_backend_id(db, backend_tx_id))
        await self._until(
            lambda: all(p.pending is None or p.pending.tx != tx for p in self.points.values()), TAKEN_UP_S
        )
        point = None if tx is None else next((p for p in self.points.values() if p.session.tx == tx), None)
        if point is None:
            return Outcome.REJECTED
        return await self.stop(point.id, StopReason.REMOTE)

    async def stop(self, evse: int, reason: StopReason) -> Outcome:
        point = self.points.get(evse)
        if point is None:
            return Outcome.UNKNOWN
        if point.session.tx is None and point.session.state not in ("starting", "waiting_car"):
            return Outcome.REJECTED
        point.session.stop(reason, None, self.clock.monotonic())
        asyncio.get_running_loop().call_soon(self._settle)
        return Outcome.ACCEPTED

    def test_lamps(self, point: Point) -> None:
        """Show every lamp of the point in turn, for a technician."""
        point.moment("test")
        self._settle()

    def test_buzzer(self) -> bool:
        """Sound every row of tones, one after the other; False when there is nothing to hear."""
        return next(iter(self.points.values())).sound("all")

    async def unlock(self, evse: int, connector: int = TYPE_2) -> Outcome:
        point = self.points.get(evse)
        if point is None or connector not in point.connectors:
            return Outcome.UNKNOWN
        if not point.config.socket or connector != TYPE_2:  # nothing holds the plug
            return Outcome.NOT_SUPPORTED
        if not await self._until(lambda: point.pending is None or point.pending.connector != TYPE_2, TAKEN_UP_S):
            return Outcome.FAILED  # its transaction could not be ended first, as OCPP 1.6, 5.18 wants
        if point.session.connector == TYPE_2:
            point.session.stop(StopReason.UNLOCK_COMMAND, None, self.clock.monotonic())
            point.session.release(None, self.clock.monotonic())
            self._settle()
            if not await self._ended([point], STOP_WAIT_S):
                return Outcome.FAILED
            point.session.release(None, self.clock.monotonic())
            self._settle()
        try:
            done = await self.link.unlock(evse, UNLOCK_WAIT_S)
        except LinkLost as error:
            log.warning("unlock failed", evse=evse, error=str(error))
            return Outcome.FAILED
        return Outcome.ACCEPTED if done.ok else Outcome.FAILED

    async def _ended(self, points: list[Point], timeout_s: float) -> bool:
        """Wait until these points have no transaction."""
        return await self._until(lambda: not any(p.session.state in _BUSY for p in points), timeout_s)

    async def _until(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until it holds, but no longer than that; whether it does."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not condition():
                    self._settled.clear()
                    await self._settled.wait()
        return condition()

    async def set_availability(
        self, evse: int, operative: bool, connector: int | None = None, for_update: bool = False
    ) -> Outcome:
        points = list(self.points.values()) if evse == 0 else [p for p in (self.points.get(evse),) if p is not None]
        meant = [(p, c) for p in points for c in p.connectors.values() if connector in (None, c.number) or evse == 0]
        if not meant:
            return Outcome.REJECTED
        outcomes = [await self._set_one(point, one, operative, for_update) for point, one in meant]
        if evse == 0:
            await self.journal.write(lambda db: store.put(db, AVAILABILITY[TYPE_2], "0", {"operative": True}))
            self._operative = True
        self._settle()
        return Outcome.SCHEDULED if Outcome.SCHEDULED in outcomes else Outcome.ACCEPTED

    async def _set_one(self, point: Point, connector: Connector, operative: bool, for_update: bool) -> Outcome:
        number = connector.number
        kept_out, updating = connector.kept_out, connector.updating
        if for_update:
            updating = not operative
        else:
            kept_out = not operative
        wanted = not kept_out and not updating
        value: dict[str, Any] = {"operative": wanted, "kept_out": kept_out, "updating": updating}
        if _busy(point, number):
            value |= {"operative": connector.operative, "scheduled": wanted}
        await self.journal.write(lambda db: store.put(db, AVAILABILITY[number], str(point.id), value))
        connector.kept_out, connector.updating = kept_out, updating
        if connector.set(wanted, _busy(point, number)):  # a session may have ended while it was written
            return Outcome.SCHEDULED
        if point.session.state == "waiting_car" and not point.usable:
            point.session.stop(StopReason.OTHER, None, self.clock.monotonic())
        return Outcome.SCHEDULED if operative and not wanted and not for_update else Outcome.ACCEPTED

    async def reset(self, hard: bool) -> Outcome:
        self._spawn(self._reset(hard))
        return Outcome.ACCEPTED

    async def _reset(self, hard: bool) -> None:
        log.info("reset", hard=hard)
        self.backend.notify(SecurityEvent("ResetOrReboot", "hard" if hard else "soft", self.clock.now()))
        self.entrance.closed = True
        now = self.clock.monotonic()
        points = list(self.points.values())
        for point in points:
            point.session.stop(StopReason.HARD_RESET if hard else StopReason.SOFT_RESET, None, now)
        self._settle()
        await asyncio.sleep(0.2)  # the answer leaves first
        await self._ended(points, RESET_WAIT_S[hard])
        await self._outbox_empty(RESET_WAIT_S[hard])
        if hard and self.config.modem.reboot_command:
            await self._restart_machine()
        self.restart_requested = True
        self.stop_running()

    async def _restart_machine(self) -> None:
        """By the site's own command, and again as often as set; comes back only if all of it was in vain."""
        for attempt in range(1 + self.settings.reset_retries):
            why = await self.uplink.reboot()
            if not why:
                await asyncio.sleep(GOING_DOWN_S)
                why = f"the machine still runs after {GOING_DOWN_S:g} s"
            log.error("the machine was not started anew", attempt=attempt + 1, why=why)

    async def _outbox_empty(self, timeout_s: float) -> None:
        for _ in range(int(timeout_s / _POLL_S)):
            first = await self.journal.read(outbox.head)
            if first is None or not self.backend.online:
                return
            await asyncio.sleep(_POLL_S)

    async def reserve(self, reservation: Reservation) -> Outcome:
        outcome = await self.reserving.reserve(reservation)
        self._settle()
        return outcome

    async def cancel_reservation(self, reservation_id: int) -> Outcome:
        outcome = await self.reserving.cancel(reservation_id)
        self._settle()
        return outcome

    def acknowledge(self, fault: str) -> bool:
        """A technician has seen a fault of the station's own; True when there was one that waits for that."""
        for active in self.faults:
            row = active.row
            if active.name == fault and row.owner is Owner.STATION and row.recover is Recover.TECHNICIAN:
                self.faults.own(fault, False, self.clock.monotonic())
                self._settle()
                return True
        return False

    async def clear_cache(self) -> Outcome:
        if not self.settings.cache_enabled:
            return Outcome.REJECTED
        await self.journal.write(tokens.clear_cache)
        return Outcome.ACCEPTED

    def evse_ids(self) -> tuple[int, ...]:
        return tuple(section.id for section in self.config.evse)

    def sample_now(self, evse: int, context: str, connector: int = TYPE_2) -> MeterSampled | None:
        point = self.points.get(evse)
        if point is None or point.reading is None:
            return None
        values = point.present_values(self.settings.sampled_measurands, context, connector)
        return MeterSampled(evse, self.clock.utc_of(point.reading.at), tuple(values), connector)

    def transaction_of(self, evse: int, connector: int | None = None) -> int | None:
        point = self.points.get(evse)
        if point is None:
            return None
        if point.pending is not None:  # of before a restart, until its car has been seen or missed
            return point.pending.tx if connector in (None, point.pending.connector) else None
        return point.session.tx if connector in (None, point.session.connector) else None

    async def transaction_answered(self, tx: int, backend_id: str | None, authorization: Authorization) -> None:
        def write(db: sqlite3.Connection) -> str | None:
            if backend_id is not None:
                outbox.set_backend_id(db, tx, backend_id)
            if not authorization.accepted:
                transactions.mark_invalid(db, tx)
            row = db.execute("SELECT token FROM tx WHERE tx = ?", (tx,)).fetchone()
            return None if row is None else str(row[0])

        token = await self.journal.write(write)
        if token is not None:
            await self.entrance.learn(token, authorization)
        if authorization.accepted:
            return
        for waiting in self.points.values():
            if waiting.pending is not None and waiting.pending.tx == tx:
                waiting.pending = replace(waiting.pending, invalid=True)  # it was read before this was known
        point = next((p for p in self.points.values() if p.session.tx == tx), None)
        after = authorisation.after_start(authorization, self.settings)
        if point is None:
            return
        log.warning("token refused after the start", evse=point.id, tx=tx, status=authorization.status.value)
        if after.stop:
            point.session.stop(StopReason.DEAUTHORIZED, None, self.clock.monotonic())
        else:
            point.invalid_wh = point.reading.energy_wh if point.reading is not None else point.meter_start_wh
            point.more_wh = after.more_wh
            if not after.more_wh:
                point.withheld = "invalid-token"
        self._settle()

    async def token_learned(self, token: str, authorization: Authorization) -> None:
        """The central system said something of a token in passing."""
        await self.entrance.learn(token, authorization)

    def key_figures(self) -> dict[str, Any]:
        return self.health.kpis.as_json()

    async def setting_changed(self, name: str) -> None:
        now = self.clock.monotonic()
        for point in self.points.values():
            point.settings_changed(now)
        self._schedule_aligned()

    def clock_offered(self, utc: datetime) -> None:
        before = self.clock.now()
        if self.clock.offer(utc.timestamp()):
            self._clock_set(before)


def _busy(point: Point, connector: int) -> bool:
    """A transaction runs at this connector, begins or ends, or is to go on after a restart."""
    if point.pending is not None and point.pending.connector == connector:
        return True
    return point.session.state in _BUSY and point.session.connector == connector
