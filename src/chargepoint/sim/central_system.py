"""A small central system for OCPP 1.6J: for the demo, for tests, and to try a borne on a desk.

It accepts charge points, authorises id tags, keeps an account of transactions, records every frame and
checks each one it receives against the official schemas (those of the `ocpp` package, strictly: one
unknown field is a violation). What it answers can be scripted per action. It keeps nothing on disk.

    async with CentralSystem(tags=["04A1B2C3"]) as central:
        ...  # connect a charge point to central.url
        await central.wait_for("StatusNotification", lambda p: p["status"] == "Charging")
        await central.call("RemoteStopTransaction", {"transactionId": central.transactions[-1].id})
"""

import asyncio
import base64
import binascii
import contextlib
import hmac
import http
import json
import ssl
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import unquote

from ocpp.exceptions import OCPPError
from ocpp.messages import Call, CallResult, validate_payload
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

Payload = dict[str, Any]
DEFAULT_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Fail:
    """A scripted CALLERROR."""

    code: str = "InternalError"
    description: str = "scripted"


class Silence:
    """A scripted answer that never comes."""


SILENCE = Silence()
Answer = Payload | Fail | Silence
Script = Answer | Callable[[Payload], Answer]


@dataclass(frozen=True, slots=True)
class Frame:
    """One message on the wire. `direction` is as the central system sees it."""

    at: datetime
    charge_point: str
    direction: Literal["in", "out"]
    text: str


@dataclass(frozen=True, slots=True)
class Received:
    """One CALL of a charge point."""

    index: int
    at: datetime
    charge_point: str
    action: str
    payload: Payload
    unique_id: str


@dataclass(slots=True)
class Transaction:
    """The account of one transaction: what the bill is made of. Registers in Wh."""

    id: int
    charge_point: str
    connector: int
    id_tag: str
    meter_start: int
    started: str
    reservation: int | None = None
    meter_stop: int | None = None
    stopped: str | None = None
    reason: str | None = None
    stop_id_tag: str | None = None
    meter_values: list[Payload] = field(default_factory=list)
    stop_data: list[Payload] = field(default_factory=list)

    @property
    def energy_wh(self) -> int | None:
        """Energy billed, Wh; None while it goes on."""
        return None if self.meter_stop is None else self.meter_stop - self.meter_start


class CallFailed(Exception):
    """The charge point answered a CALL with a CALLERROR."""

    def __init__(self, code: str, description: str, details: Any) -> None:
        super().__init__(f"{code}: {description}")
        self.code = code
        self.description = description
        self.details = details


class CentralSystem:
    """The server. Everything it knows is in plain attributes; nothing is kept between two instances.

    `tags`: id tags that are accepted, or a mapping of tag to an idTagInfo object or to its status alone; tags not
    named are Invalid (`None` accepts all). `password` asks for Basic authentication with the charge point's
    identity as user: text, or raw bytes. `tls` makes it a wss server.
    """

    def __init__(
        self,
        port: int = 0,
        tags: Iterable[str] | Mapping[str, str | Payload] | None = None,
        *,
        host: str = "127.0.0.1",
        password: str | bytes | None = None,
        tls: ssl.SSLContext | None = None,
        heartbeat_interval: int = 300,
        latency_s: float = 0.0,
        subprotocols: tuple[str, ...] = ("ocpp1.6",),
    ) -> None:
        self.host = host
        self.port = port
        self.tags: dict[str, Payload] | None = None if tags is None else _tag_table(tags)
        self.password = password
        self.tls = tls
        self.heartbeat_interval = heartbeat_interval
        self.latency_s = latency_s
        """Delay of every answer, s."""
        self.subprotocols = subprotocols
        self.answers: dict[str, Script] = {}
        """Per action, instead of the usual answer: a payload, `Fail`, `SILENCE`, or a function of the request."""
        self.delays: dict[str, float] = {}
        """Per action: seconds before the answer leaves."""
        self.transactions: list[Transaction] = []
        self.frames: list[Frame] = []
        self.received: list[Received] = []
        self.violations: list[str] = []
        """Everything a charge point sent that the schemas or the rules of the link do not allow."""
        self.refuse: http.HTTPStatus | None = None
        """While set, connections are refused with this status."""
        self.handshakes: list[Request] = []
        self.connections: dict[str, ServerConnection] = {}
        self.first_transaction_id = 1
        self._server: Server | None = None
        self._changed = asyncio.Condition()
        self._pending: dict[str, tuple[str, asyncio.Future[Payload]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Listen; with port 0 the system chooses one, and `port` then tells it."""
        self._server = await serve(
            self._serve,
            self.host,
            self.port,
            ssl=self.tls,
            subprotocols=[*self.subprotocols],  # type: ignore[list-item]
            process_request=self._admit,
            compression=None,
            ping_interval=None,
            max_size=1 << 20,
        )
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    async def close(self) -> None:
        """Close every connection and stop listening."""
        for task in tuple(self._tasks):
            task.cancel()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    @property
    def url(self) -> str:
        """Address for the charge point's configuration; the identity is not part of it."""
        return f"{'wss' if self.tls else 'ws'}://{self.host}:{self.port}/ocpp"

    # --- what a script does ------------------------------------------------------------------------------------

    async def call(
        self, action: str, payload: Payload | None = None, charge_point: str | None = None, timeout_s: float = 10.0
    ) -> Payload:
        """Send a CALL (without a charge point named: to the only one connected) and return the answer's payload.

        Raises CallFailed for a CALLERROR, TimeoutError when nothing comes, LookupError when it is not connected.
        """
        name, connection = self._peer(charge_point)
        unique_id = str(uuid.uuid4())
        future: asyncio.Future[Payload] = asyncio.get_running_loop().create_future()
        self._pending[unique_id] = (action, future)
        try:
            await self.send_text(json.dumps([2, unique_id, action, payload or {}]), name, connection)
            async with asyncio.timeout(timeout_s):
                return await future
        finally:
            self._pending.pop(unique_id, None)

    async def send_text(
        self, text: str, charge_point: str | None = None, connection: ServerConnection | None = None
    ) -> None:
        """Put a text on the wire as it is, right or wrong."""
        if connection is None:
            charge_point, connection = self._peer(charge_point)
        self._record(charge_point or "", "out", text)
        await connection.send(text)

    def mark(self) -> int:
        """A place in `received`, for `wait_for(after=...)`."""
        return len(self.received)

    async def wait_for(
        self,
        action: str,
        accept: Callable[[Payload], bool] = lambda payload: True,
        *,
        after: int = 0,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> Received:
        """The first CALL of that action, since `after`, that `accept` likes. Raises TimeoutError naming what came."""

        def found() -> Received | None:
            matches = (r for r in self.received[after:] if r.action == action and accept(r.payload))
            return next(matches, None)

        try:
            async with asyncio.timeout(timeout_s), self._changed:
                while (match := found()) is None:
                    await self._changed.wait()
                return match
        except TimeoutError:
            came = ", ".join(f"{r.action}{r.payload}" for r in self.received[after:])
            raise TimeoutError(f"No {action} as wanted within {timeout_s} s; there came: {came or 'nothing'}") from None

    async def wait_until(self, condition: Callable[[], bool], timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        """Wait until a condition on the attributes holds; looked at after each message, connection and loss."""
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(condition)

    async def wait_connected(self, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        """Wait until a charge point is connected."""
        await self.wait_until(lambda: bool(self.connections), timeout_s)

    async def drop(self, charge_point: str | None = None) -> None:
        """Cut the connection without a closing handshake, as a lost link does."""
        _, connection = self._peer(charge_point)
        connection.transport.abort()

    def calls(self, action: str) -> list[Payload]:
        """Payloads of all CALLs of that action, in order."""
        return [r.payload for r in self.received if r.action == action]

    # --- the server side -----------------------------------------------------------------------------------------

    def _peer(self, charge_point: str | None) -> tuple[str, ServerConnection]:
        if charge_point is None and len(self.connections) == 1:
            return next(iter(self.connections.items()))
        if charge_point is None or charge_point not in self.connections:
            raise LookupError(f"No charge point {charge_point or ''} is connected; there are {[*self.connections]}")
        return charge_point, self.connections[charge_point]

    async def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        self.handshakes.append(request)
        if self.refuse is not None:
            return connection.respond(self.refuse, "refused\n")
        if self.password is None or self._password_right(request):
            return None
        return connection.respond(http.HTTPStatus.UNAUTHORIZED, "wrong user or password\n")

    def _password_right(self, request: Request) -> bool:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        try:
            given = base64.b64decode(token, validate=True)
        except binascii.Error:
            return False
        secret = self.password.encode() if isinstance(self.password, str) else self.password or b""
        wanted = _identity(request.path).encode() + b":" + secret
        return scheme.lower() == "basic" and hmac.compare_digest(given, wanted)

    async def _serve(self, connection: ServerConnection) -> None:
        name = _identity(connection.request.path if connection.request else "")
        if connection.subprotocol is None:
            self.violations.append(f"{name}: no subprotocol agreed")
        self.connections[name] = connection
        await self._announce()
        try:
            with contextlib.suppress(ConnectionClosed):  # a lost link is what many scripts ask for
                async for message in connection:
                    await self._message(name, connection, message)
        finally:
            if self.connections.get(name) is connection:
                del self.connections[name]
            await self._announce()

    async def _message(self, name: str, connection: ServerConnection, message: str | bytes) -> None:
        text = message if isinstance(message, str) else message.decode("utf-8", "replace")
        self._record(name, "in", text)
        try:
            frame = json.loads(text)
            kind, unique_id = frame[0], str(frame[1])
        except (ValueError, LookupError, TypeError, RecursionError):
            self.violations.append(f"{name}: not an OCPP-J frame: {text[:200]}")
            return
        if kind == 2 and len(frame) == 4 and isinstance(frame[3], dict):
            await self._called(name, connection, unique_id, str(frame[2]), frame[3])
        elif kind == 3 and len(frame) == 3:
            await self._answered(name, unique_id, frame[2])
        elif kind == 4 and len(frame) == 5:
            if (waiting := self._pending.get(unique_id)) and not waiting[1].done():
                waiting[1].set_exception(CallFailed(str(frame[2]), str(frame[3]), frame[4]))
        else:
            self.violations.append(f"{name}: not an OCPP-J frame: {text[:200]}")

    async def _called(
        self, name: str, connection: ServerConnection, unique_id: str, action: str, payload: Payload
    ) -> None:
        await self._check(name, Call(unique_id, action, payload))
        if any(r.unique_id == unique_id for r in self.received[-200:]):
            self.violations.append(f"{name}: the message id {unique_id} was used before")
        answer = self._answer(name, action, payload)
        self.received.append(Received(len(self.received), datetime.now(UTC), name, action, payload, unique_id))
        await self._announce()
        task = asyncio.create_task(self._reply(name, connection, unique_id, action, answer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reply(
        self, name: str, connection: ServerConnection, unique_id: str, action: str, answer: Answer
    ) -> None:
        if delay := self.delays.get(action, self.latency_s):
            await asyncio.sleep(delay)
        if isinstance(answer, Silence):
            return
        frame: list[Any] = [3, unique_id, answer]
        if isinstance(answer, Fail):
            frame = [4, unique_id, answer.code, answer.description, {}]
        with contextlib.suppress(ConnectionClosed):  # the charge point may go before its answer leaves
            await self.send_text(json.dumps(frame), name, connection)

    async def _answered(self, name: str, unique_id: str, payload: Any) -> None:
        waiting = self._pending.get(unique_id)
        if waiting is None or waiting[1].done():
            self.violations.append(f"{name}: an answer to nothing: {unique_id}")
            return
        action, future = waiting
        await self._check(name, CallResult(unique_id, payload, action))
        future.set_result(payload)

    async def _check(self, name: str, message: Call | CallResult) -> None:
        action, payload = message.action, message.payload
        try:
            await validate_payload(message, "1.6")
        except OCPPError as error:
            self.violations.append(f"{name}: {action} {payload}: {error}")
        message.payload = payload
        if len(str(message.unique_id)) > 36:
            self.violations.append(f"{name}: the message id {message.unique_id} is longer than 36 characters")

    def _record(self, name: str, direction: Literal["in", "out"], text: str) -> None:
        self.frames.append(Frame(datetime.now(UTC), name, direction, text))

    async def _announce(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    # --- what it answers ----------------------------------------------------------------------------------------

    def _answer(self, name: str, action: str, payload: Payload) -> Answer:
        scripted = self.answers.get(action)
        answer = scripted(payload) if callable(scripted) else scripted
        if answer is None:
            answer = self._usual(name, action, payload)
        if not isinstance(answer, Fail | Silence):
            self._book(name, action, payload, answer)
        return answer

    def _usual(self, name: str, action: str, payload: Payload) -> Answer:
        now = _now()
        if action == "BootNotification":
            return {"status": "Accepted", "currentTime": now, "interval": self.heartbeat_interval}
        if action == "Heartbeat":
            return {"currentTime": now}
        if action == "Authorize":
            return {"idTagInfo": self._tag(payload.get("idTag", ""))}
        if action == "StartTransaction":
            return {
                "transactionId": self.first_transaction_id + len(self.transactions),
                "idTagInfo": self._tag(payload.get("idTag", "")),
            }
        if action == "StopTransaction":
            return {"idTagInfo": self._tag(payload["idTag"])} if "idTag" in payload else {}
        if action == "DataTransfer":
            return {"status": "UnknownVendorId"}
        if action == "SignCertificate":
            return {"status": "Accepted"}
        return {}

    def _tag(self, id_tag: str) -> Payload:
        if self.tags is None:
            return {"status": "Accepted"}
        return self.tags.get(id_tag.upper(), {"status": "Invalid"})

    def _book(self, name: str, action: str, payload: Payload, answer: Payload) -> None:
        if action == "StartTransaction":
            self.transactions.append(
                Transaction(
                    id=answer.get("transactionId", 0),
                    charge_point=name,
                    connector=payload["connectorId"],
                    id_tag=payload["idTag"],
                    meter_start=payload["meterStart"],
                    started=payload["timestamp"],
                    reservation=payload.get("reservationId"),
                )
            )
            return
        if action not in ("MeterValues", "StopTransaction") or "transactionId" not in payload:
            return
        account = self.transaction(payload["transactionId"], name)
        if account is None:
            if payload["transactionId"] != -1:
                self.violations.append(f"{name}: {action} of a transaction never started: {payload}")
        elif action == "MeterValues":
            account.meter_values.extend(payload["meterValue"])
        else:
            account.meter_stop, account.stopped = payload["meterStop"], payload["timestamp"]
            account.reason, account.stop_id_tag = payload.get("reason", "Local"), payload.get("idTag")
            account.stop_data = payload.get("transactionData", [])

    def transaction(self, transaction_id: int, charge_point: str | None = None) -> Transaction | None:
        """The newest transaction of that id."""
        for account in reversed(self.transactions):
            if account.id == transaction_id and charge_point in (None, account.charge_point):
                return account
        return None


def _tag_table(tags: Iterable[str] | Mapping[str, str | Payload]) -> dict[str, Payload]:
    entries = tags.items() if isinstance(tags, Mapping) else ((tag, "Accepted") for tag in tags)
    return {tag.upper(): {"status": info} if isinstance(info, str) else info for tag, info in entries}


def _identity(path: str) -> str:
    return unquote(path.rpartition("/")[2])


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
