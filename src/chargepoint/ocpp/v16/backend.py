"""The central system as the core sees it, spoken to in OCPP 1.6J. Puts the room's parts together."""

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import structlog
from ocpp.v16 import call
from ocpp.v16.enums import ChargePointErrorCode, Log
from websockets.asyncio.client import ClientConnection

from chargepoint import __version__
from chargepoint.config import Config
from chargepoint.journal import outbox, tokens
from chargepoint.journal.journal import Journal
from chargepoint.journal.stamp import Stamp
from chargepoint.ocpp import security_log
from chargepoint.ocpp.connection import LONGEST_ATTEMPT_S, Link
from chargepoint.ocpp.installer import ExchangeInstaller, Installer
from chargepoint.ocpp.lookout import longest_call_s
from chargepoint.ocpp.queue import OutboxSender, Outgoing, Taken
from chargepoint.ocpp.rpc import AnswerTimeout, AnswerUnusable, CallFailed, LinkLost, NotSendable, Payload, Rpc
from chargepoint.ocpp.tap import Tap
from chargepoint.ocpp.timestamps import from_text
from chargepoint.ocpp.v16 import outgoing
from chargepoint.ocpp.v16.configuration import Configuration
from chargepoint.ocpp.v16.connectors import Connectors
from chargepoint.ocpp.v16.core import Core
from chargepoint.ocpp.v16.dialect import DIALECT, MAX_ID_TAG, authorization
from chargepoint.ocpp.v16.firmware import Firmware
from chargepoint.ocpp.v16.keys import Key, Owners, ProtocolSettings
from chargepoint.ocpp.v16.kpi_reports import KpiReports
from chargepoint.ocpp.v16.local_list import LocalList
from chargepoint.ocpp.v16.logs import Logs
from chargepoint.ocpp.v16.registration import Registration, State
from chargepoint.ocpp.v16.reports import Reports
from chargepoint.ocpp.v16.reservation import Reservation
from chargepoint.ocpp.v16.security import Security
from chargepoint.ocpp.v16.site_reports import site_report
from chargepoint.ocpp.v16.smart_charging import SmartCharging
from chargepoint.ocpp.v16.status import StatusReporter
from chargepoint.ocpp.v16.triggered import Triggered
from chargepoint.station.api import (
    Authorization,
    AuthStatus,
    BackendUnreachable,
    BayChanged,
    DomainEvent,
    MeterSampled,
    ReservationContested,
    SecurityEvent,
    StationApi,
    StatusChanged,
)
from chargepoint.update.request import Exchange

MUTE: Final = "connected, but nothing is answered"
FAILURES: Final = (CallFailed, AnswerTimeout, AnswerUnusable, LinkLost)
"""Every way a call may fail that is not a mistake of this program."""
ORDER_WAIT_S: Final = 2.0
"""A status waits so long, at most, for the transaction messages that came before it."""
STATUS_ATTEMPTS: Final = 2
"""At a status that the central system does not answer although it answers other calls."""
STARTING_S: Final = 5.0
ACCEPTANCE_WAIT_S: Final = 3.0
RECONNECT_AFTER_S: Final = 1.0
RENEWAL_LOOK_S: Final = 3600.0
_NEVER_TAKEN: Final = ("NotImplemented", "NotSupported")

log = structlog.get_logger("ocpp.backend")


class Clock(Protocol):
    """What is needed of the station's clock."""

    def utc(self) -> float: ...
    def stamp(self) -> Stamp: ...


class Backend:
    """Implements the core's `Backend` for OCPP 1.6. Make one, then `run` it until the program ends."""

    def __init__(
        self,
        config: Config,
        journal: Journal,
        clock: Clock,
        station: StationApi,
        installer: Installer | None = None,
    ) -> None:
        self._config = config
        self._journal = journal
        self._clock = clock
        self._station = station
        self._connectors = Connectors.of(config.evse)
        self._protocol = ProtocolSettings()
        self._security = Security(
            config, journal, self._protocol, clock.utc, self._emit, self._reconnect_soon, self._send_triggered
        )
        owners = Owners(config, station.settings, self._protocol, self._security)
        self._configuration = Configuration(journal, owners, self._key_changed)
        self._registration = Registration(config, station.clock_offered, self._heartbeat_interval_told)
        self._link = Link(self._security.endpoint, self._protocol.link, self._serve, self._security.failed)
        self._sender = OutboxSender(journal, self, self._protocol.retry, clock.utc)
        self._status = StatusReporter(self._send_status, lambda: station.settings.minimum_status_s, self._sender.mark)
        self._heartbeat_changed = asyncio.Event()
        self._rpc: Rpc | None = None
        self._tap = Tap()
        self._mute = False
        """Connections are taken, and nothing said on them is answered."""
        self._accepted = asyncio.Event()
        self._started: float | None = None
        self._loaded = False
        self._errands: set[asyncio.Task[None]] = set()
        self._notes: asyncio.Queue[MeterSampled | SecurityEvent] = asyncio.Queue(maxsize=256)
        self._reports = Reports(self._call)
        self._site = Reports(self._call)
        self._kpis = KpiReports(lambda: self._protocol.kpi_interval_s, station.key_figures, self._send_if_online)
        self._logs = Logs(
            config.station.id,
            self._log_content,
            self._reports.add,
            clock.utc,
            lambda: self._security.trust.trust(with_fallback=True),
        )
        self._firmware = Firmware(
            journal,
            station,
            self._security.trust,
            installer or ExchangeInstaller(Exchange(config.station.state_dir)),
            config.station.state_dir,
            self._reports.add,
            self._emit,
            clock.utc,
            lambda: self._security.profile == 0 and self._protocol.update_firmware_allowed,
        )
        triggered = Triggered(
            station,
            journal,
            self._connectors,
            self._logs,
            self._firmware,
            self._security,
            self._send_triggered,
            self._heartbeat_asked_for,
        )
        self._handlers = (
            Core(station, self._connectors, self._configuration, self._registration, clock.utc),
            LocalList(journal, station.settings),
            Reservation(station, self._connectors, self._registration, clock.utc),
            SmartCharging(station, journal, self._connectors, clock.utc),
            self._security,
            self._logs,
            self._firmware,
            triggered.remote_trigger(self._registration),
        )

    # --- what the core asks ------------------------------------------------------------------------------------------

    @property
    def online(self) -> bool:
        """Connected, registration accepted, and not known to answer nothing."""
        return self._rpc is not None and self._registration.accepted and not self._mute

    @property
    def reachable(self) -> bool:
        return self._rpc is not None and self._registration.answered and not self._mute

    def status(self) -> dict[str, Any]:
        """The `ocpp` part of the station's status."""
        return {
            "connected": self._rpc is not None,
            "version": "1.6",
            "url": self._config.ocpp.url,
            "queue": self._sender.pending,
            "registration": self._registration.state.value,
            "trouble": self._link.trouble or (MUTE if self._mute else ""),
        }

    def messages(self, count: int) -> list[dict[str, str]]:
        """The last messages on the link, redacted, oldest first."""
        return self._tap.newest(count)

    async def authorize(self, token: str) -> Authorization:
        """Ask about a token. Raises BackendUnreachable within the message time-out."""
        if len(token) > MAX_ID_TAG:
            return Authorization(AuthStatus.INVALID)
        await self._about_to_be_online()
        if self._mute:
            raise BackendUnreachable(MUTE)
        try:
            async with asyncio.timeout(self._protocol.message_timeout_s):
                answer = await self._call(call.Authorize(id_tag=token))
        except (*FAILURES, TimeoutError) as failure:
            raise BackendUnreachable(f"no answer about the badge: {failure}") from failure
        return authorization(answer["idTagInfo"])

    async def _about_to_be_online(self) -> None:
        """A badge shown just after the start, or while the registration is being answered, waits for it a little."""
        now = asyncio.get_running_loop().time()
        starting = self._started is None or now - self._started < STARTING_S
        if self._registration.state is State.UNKNOWN and (starting or self._rpc is not None):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ACCEPTANCE_WAIT_S):
                    await self._accepted.wait()

    def notify(self, event: DomainEvent) -> None:
        """Report an event, without blocking. Values outside a transaction are dropped while there is no link."""
        if isinstance(event, StatusChanged):
            self._status.changed(event)
        elif isinstance(event, BayChanged | ReservationContested):
            if self._protocol.site_reports:
                self._site.add(site_report(event, self._connectors))
        elif isinstance(event, SecurityEvent) or self.online:
            try:
                self._notes.put_nowait(event)
            except asyncio.QueueFull:
                log.error("event dropped, too many wait", dropped=type(event).__name__)

    def outbox_changed(self) -> None:
        """There is something new in the journal's outbox."""
        self._sender.wake()

    def loops(self) -> dict[str, tuple[Callable[[], int], Callable[[], int]]]:
        """What must get round again and again, by name: its turns, and the seconds one may take as things stand."""

        def a_call() -> int:
            return longest_call_s(self._protocol.message_timeout_s)

        return {
            "link to the central system": (lambda: self._link.lookout.turns, lambda: LONGEST_ATTEMPT_S),
            "outbox": (lambda: self._sender.lookout.turns, a_call),
            "status reports": (lambda: self._status.lookout.turns, a_call),
        }

    def connect(self) -> None:
        """Connect at once, and stay connected."""
        self._link.connect()

    async def disconnect(self) -> None:
        """Close the link, and stay away until `connect`."""
        await self._link.disconnect()

    async def load(self) -> None:
        await self._configuration.load(self._config.ocpp.configuration)
        await self._security.load()
        await self._firmware.load()
        self._loaded = True

    async def run(self) -> None:
        """Keep the link and everything on it; until cancelled."""
        self._started = asyncio.get_running_loop().time()
        if not self._loaded:
            await self.load()
        self._firmware.go_on()
        self._emit("StartupOfTheDevice", "")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._link.run())
            tasks.create_task(self._sender.run())
            tasks.create_task(self._sender.keep_bound())
            tasks.create_task(self._status.run())
            tasks.create_task(self._reports.run())
            tasks.create_task(self._site.run())
            tasks.create_task(self._kpis.run())
            tasks.create_task(self._note_events())
            tasks.create_task(self._renew_certificate())

    # --- one connection ----------------------------------------------------------------------------------------------

    async def _serve(self, connection: ClientConnection) -> None:
        rpc = Rpc(
            self._tap.around(connection),
            DIALECT,
            self._handlers,
            answer_timeout=lambda: self._protocol.message_timeout_s,
            mute=lambda: self._registration.muted,
            on_malformed=lambda reason: self._emit("InvalidMessages", reason),
        )
        await self._security.connected(connection.transport.get_extra_info("ssl_object"))
        self._rpc = rpc
        life = asyncio.create_task(self._live(rpc))
        reading = asyncio.create_task(rpc.run())
        try:
            await asyncio.wait({reading, life}, return_when=asyncio.FIRST_COMPLETED)
            if life.done() and not life.cancelled() and (error := life.exception()) is not None:
                raise error
            await reading
        finally:
            self._rpc = None
            self._accepted.clear()
            self._security.peer = None
            self._sender.ready(False)
            self._status.online(False)
            for task in (life, reading):
                task.cancel()
            await asyncio.gather(life, reading, return_exceptions=True)

    async def _live(self, rpc: Rpc) -> None:
        """Register, report, then send a heartbeat now and then. Ends with the connection."""
        with contextlib.suppress(LinkLost):
            if not self._registration.accepted:
                await self._registration.obtain(rpc)
                self._status.all_anew([self._present(connector) for connector in self._connectors.all])
            if self._mute and not await self.alive():
                return
            await self._station.clock_kept()  # else what waits would be dated with the present
            self._accepted.set()
            self._status.online(True)
            self._sender.ready(True)
            self._reports.online()
            self._site.online()
            while True:
                await self._heartbeat_due()
                await self._heartbeat(rpc)

    def _present(self, connector: int) -> StatusChanged:
        place = self._connectors.place_of(connector)
        assert place is not None
        return self._station.status_of(place.evse, place.connector)

    async def _heartbeat_due(self) -> None:
        """Wait one interval, beginning anew whenever the interval is changed."""
        while True:
            self._heartbeat_changed.clear()
            try:
                async with asyncio.timeout(self._protocol.heartbeat_interval_s):
                    await self._heartbeat_changed.wait()
            except TimeoutError:
                return

    async def _heartbeat(self, rpc: Rpc) -> None:
        try:
            answer = await rpc.call(call.Heartbeat())
            self._station.clock_offered(from_text(answer["currentTime"]))
        except (CallFailed, AnswerUnusable, ValueError) as failure:
            log.warning("heartbeat without a usable answer", reason=str(failure))
        except AnswerTimeout:
            await self.alive()

    async def alive(self) -> bool:
        """Ask for the time, the least there is to answer. Without an answer the connection is given up: the next may
        come to somebody who listens, and the pauses between them grow."""
        rpc = self._rpc
        try:
            if rpc is None:
                return False
            await rpc.call(call.Heartbeat())
        except (CallFailed, AnswerUnusable):
            log.info("the central system answers, if only with an error")
        except LinkLost:
            return False
        except AnswerTimeout as failure:
            log.warning("the central system answers nothing", reason=str(failure))
            self._mute = True
            self._link.drop()
            return False
        self._mute = False
        return True

    async def _call(self, request: Any) -> Payload:
        """Call while accepted; raises LinkLost at once otherwise."""
        rpc = self._rpc
        if rpc is None or not self._registration.accepted:
            raise LinkLost("there is no accepted connection to the central system")
        return await rpc.call(request)

    # --- configuration -----------------------------------------------------------------------------------------------

    async def _key_changed(self, key: Key) -> None:
        self._link.policy_changed()
        self._heartbeat_changed.set()
        self._kpis.interval_changed()
        if key.secret:
            await self._security.key_changed(key.name)
        if key.neutral is not None:
            await self._station.setting_changed(key.neutral)

    def _reconnect_soon(self) -> None:
        """Connect anew once the answer that goes before it has left."""

        async def reconnect() -> None:
            await asyncio.sleep(RECONNECT_AFTER_S)
            await self._link.reconnect()

        task = asyncio.create_task(reconnect())
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def _renew_certificate(self) -> None:
        while True:
            await asyncio.sleep(RENEWAL_LOOK_S)
            self._security.switch_if_due()
            if self.online:
                await self._security.renew_if_due()

    def _heartbeat_interval_told(self, interval: int) -> None:
        self._protocol.heartbeat_interval_s = interval
        self._heartbeat_changed.set()

    async def _log_content(self, log_type: str, since: float, until: float) -> bytes:
        """The security log as lines; the diagnostics as JSON."""
        events = await self._journal.read(lambda db: security_log.read(db, since, until))
        if log_type == Log.security_log.value:
            return "".join(f"{line}\n" for line in events).encode()
        presents = {connector: self._present(connector) for connector in self._connectors.all}
        content = {
            "charge_point": self._config.station.id,
            "firmware": __version__,
            "ocpp": self.status(),
            "link": dict(self._rpc.counters) if self._rpc is not None else {},
            "connectors": [
                {"connector": connector, "status": present.status.value, "fault": present.error, "info": present.info}
                for connector, present in presents.items()
            ],
            "configuration": {shown.name: shown.value for shown in self._configuration.show_all()},
            "security_log": events,
        }
        return json.dumps(content, indent=1).encode()

    # --- the outbox --------------------------------------------------------------------------------------------------

    async def deliver(self, message: Outgoing) -> Taken:
        """Send one record of the outbox. A transaction's id may be 0."""
        try:
            request = outgoing.request(message, self._connectors)
        except (KeyError, TypeError, ValueError) as error:
            raise NotSendable(f"the record {message.entry} makes no message: {error!r}") from error
        answer = await self._call(request)
        backend_id = str(answer["transactionId"]) if message.entry.kind == "started" else None
        info = answer.get("idTagInfo")
        return Taken(backend_id, authorization(info) if info else None)

    async def delivered(self, message: Outgoing, taken: Taken) -> None:
        """Tell the core what the central system thinks of the token."""
        entry = message.entry
        if taken.authorization is None:
            return
        if entry.kind == "started" and entry.tx is not None:
            await self._compare_with_list(entry.payload["token"], taken.authorization)
            await self._station.transaction_answered(entry.tx, taken.backend_id, taken.authorization)
        elif entry.kind == "ended" and entry.payload["token"]:
            await self._station.token_learned(entry.payload["token"], taken.authorization)

    async def _compare_with_list(self, token: str, told: Authorization) -> None:
        """Tell the central system when its own list and its answer differ (3.5.3)."""
        listed, _ = await self._journal.read(lambda db: tokens.lookup(db, token))
        if listed is None or (listed.status == AuthStatus.ACCEPTED) == told.accepted:
            return
        present = outgoing.status_notification(self._present(0), self._connectors)
        present.error_code = ChargePointErrorCode.local_list_conflict
        present.info = f"{token}: list {listed.status}, answer {told.status}"[: outgoing.MAX_INFO]
        await self._send_loose(present)

    def pointless(self, message: Outgoing, failure: CallFailed) -> bool:
        """A central system without the security extension will never take its events."""
        return message.entry.kind == "security" and failure.code in _NEVER_TAKEN

    # --- events ------------------------------------------------------------------------------------------------------

    async def _note_events(self) -> None:
        while True:
            event = await self._notes.get()
            if isinstance(event, SecurityEvent):
                await self._keep_security_event(event)
            else:
                await self._send_loose(outgoing.meter_values(event, self._connectors))

    def _emit(self, kind: str, info: str) -> None:
        self.notify(SecurityEvent(kind, info, datetime.fromtimestamp(self._clock.utc(), UTC)))

    async def _keep_security_event(self, event: SecurityEvent) -> None:
        """Into the security log; the critical ones also to the central system, as surely as a transaction."""
        stamp = self._clock.stamp()
        payload = {"kind": event.kind, "info": event.info}

        def write(db: sqlite3.Connection) -> None:
            security_log.append(db, stamp, event.kind, event.info)
            if event.kind in security_log.TOLD:
                outbox.add(db, "security", None, stamp, payload)

        await self._journal.write(write)
        self._sender.wake()

    async def _send_status(self, event: StatusChanged, mark: int) -> bool:
        """True: taken, or not worth another attempt; False: the link is lost, and the next one is to be told."""
        await self._sender.delivered_up_to(mark, ORDER_WAIT_S)
        for _ in range(STATUS_ATTEMPTS):
            self._status.lookout.turns += 1
            try:
                await self._call(outgoing.status_notification(event, self._connectors))
                return True
            except LinkLost:
                return False
            except AnswerTimeout as failure:
                # Not answered although the link stands: nothing would make a new one, so it is not waited for.
                self._status.lookout.turns += 1
                if not await self.alive():
                    return False
                self._log_not_taken(event, failure)
            except (CallFailed, AnswerUnusable, NotSendable) as failure:
                self._log_not_taken(event, failure)
                return True
        return True

    def _log_not_taken(self, event: StatusChanged, failure: Exception) -> None:
        where = {"evse": event.evse, "connector": event.connector}
        log.warning("status not taken", **where, status=event.status.value, reason=str(failure))

    async def _send_loose(self, request: Any) -> None:
        """Send what is not worth keeping: a failure is logged, no more."""
        try:
            await self._call(request)
        except (*FAILURES, NotSendable) as failure:
            log.warning("message not delivered", action=type(request).__name__, reason=str(failure))

    async def _send_if_online(self, request: Any) -> None:
        """What is out of date by the time the link is back."""
        if self.online:
            await self._send_loose(request)

    async def _heartbeat_asked_for(self) -> None:
        if self._rpc is not None:
            with contextlib.suppress(LinkLost):
                await self._heartbeat(self._rpc)

    async def _send_triggered(self, request: Any) -> Payload | None:
        """Send now or not at all, also while the registration is pending; None when it was not answered."""
        if self._rpc is None:
            return None
        try:
            return await self._rpc.call(request)
        except (*FAILURES, NotSendable) as failure:
            log.warning("message not delivered", action=type(request).__name__, reason=str(failure))
            return None
