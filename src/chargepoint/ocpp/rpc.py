"""OCPP-J remote procedure calls on one connection.

The `ocpp` package gives the frames, the message classes, the schemas and the `@on` routing. Its `ChargePoint`
class gives the rest, and is replaced here, because a charge point in the field needs more of it:

- incoming CALLs are answered while one of ours waits, also when the handler itself calls;
- no frame, however malformed, ends the loop: it is answered when its id can be read, else counted and logged;
- error codes mean, and are spelled, what 1.6J says (NotImplemented: unknown action; NotSupported: known, off);
- fields a schema does not know are ignored in what comes in; what goes out is checked strictly;
- an answer that comes after its time-out is ignored and never taken for another's; time-outs are monotonic;
- a CALLERROR to a call of ours is an exception, and its code may be one nobody has heard of.
"""

import asyncio
import inspect
import json
import re
import uuid
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, Final, NoReturn, Protocol, TypeVar

import structlog
from ocpp.charge_point import camel_to_snake_case, snake_to_camel_case
from ocpp.exceptions import OCPPError
from ocpp.messages import Call, CallError, CallResult
from ocpp.routing import create_route_map
from ocpp.routing import on as _on
from websockets.exceptions import ConnectionClosed

from chargepoint.ocpp import schema

Payload = dict[str, Any]
Effect = Callable[[], Awaitable[None]]
Handler = TypeVar("Handler", bound=Callable[..., Any])

MAX_SERVED: Final = 32
"""CALLs of the other side that may wait for their answers at once; OCPP-J allows one."""
LOG_EVERY_S: Final = 60.0
_HALF_CHARACTER: Final = re.compile(r"\\u[dD][89a-fA-F]")
_READABLE_CALL: Final = re.compile(r'\s*\[\s*2\s*,\s*"([^"\\]{1,36})"')

log = structlog.get_logger("ocpp.rpc")


def on(action: str) -> Callable[[Handler], Handler]:
    """Route an action to a method: the `ocpp` package's decorator, with its type."""
    decorator: Callable[[Handler], Handler] = _on(action)
    return decorator


class Wire(Protocol):
    """A connection as websockets gives it."""

    async def recv(self) -> str | bytes: ...
    async def send(self, message: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Dialect:
    """What differs between versions of OCPP-J."""

    version: str
    actions: frozenset[str]
    spelling: Mapping[str, str]
    """Error codes which this version spells otherwise than 1.6J."""


class LinkLost(Exception):
    """The connection ended before the answer came."""


class AnswerTimeout(Exception):
    """The other side did not answer in time."""


class AnswerUnusable(Exception):
    """The answer lacks what it must have."""


class NotSendable(Exception):
    """A message of ours violates its schema: a mistake in this program, never of the other side."""


class CallFailed(Exception):
    """The other side answered with a CALLERROR. `code` is spelled as in 1.6J where that has it."""

    def __init__(self, code: str, description: str, details: Any) -> None:
        super().__init__(f"the central system answered {code}: {description}")
        self.code = code
        self.description = description
        self.details = details


class Refusal(Exception):
    """Raised by a handler (or by the frame's reader): the CALL is answered with a CALLERROR of this code."""

    def __init__(self, code: str, description: str, details: Payload | None = None) -> None:
        super().__init__(f"{code}: {description}")
        self.code = code
        self.description = description
        self.details = details or {}


@dataclass(frozen=True, slots=True)
class Reply:
    """A handler's answer, and what is to be done once it has left."""

    answer: Any
    then: Effect


@dataclass(slots=True)
class _Waiting:
    unique_id: str
    action: str
    answer: asyncio.Future[Payload]


_OLD_SPELLING: Final = {
    "FormatViolation": schema.FORMATION,
    "OccurrenceConstraintViolation": schema.OCCURRENCE,
}


class Rpc:
    """Calls and answers on one connection. Make one per connection; `run` until it ends.

    `handlers`: objects whose methods are routed with the `ocpp` package's `@on`; they take the payload's fields as
    snake_case keywords and return a message of `call_result` or a `Reply`, plainly or as a coroutine.
    `answer_timeout` (seconds) and `mute` (True: answer nothing, as a rejected charge point must) are asked each time.
    `on_malformed` hears of the first of each burst of malformed frames.
    """

    def __init__(
        self,
        wire: Wire,
        dialect: Dialect,
        handlers: Iterable[object] = (),
        *,
        answer_timeout: Callable[[], float] = lambda: 30.0,
        mute: Callable[[], bool] = lambda: False,
        on_malformed: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self._on_malformed = on_malformed
        self._wire = wire
        self._dialect = dialect
        self._handlers = _routes(handlers)
        self._answer_timeout = answer_timeout
        self._mute = mute
        self._turn = asyncio.Lock()
        self._waiting: _Waiting | None = None
        self._given_up: deque[str] = deque(maxlen=64)
        self._tasks: dict[asyncio.Task[None], Call] = {}
        self._following: set[asyncio.Future[None]] = set()
        self._logged: dict[str, float] = {}
        self.counters: Counter[str] = Counter()
        """What happened on this connection: "malformed", "late-answers", "stray-answers", "unusual-answers"..."""

    # --- the loop -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve the connection until it ends; never raises for anything that comes in."""
        try:
            while True:
                self.receive(await self._wire.recv())
        except ConnectionClosed as closed:
            # What they have asked for is done to its end, though no answer can leave: half may be on the disk already.
            log.info("connection ended", reason=str(closed))
        except asyncio.CancelledError:
            for task in tuple(self._tasks):
                task.cancel()
            raise
        finally:
            self._lost()

    def receive(self, message: str | bytes) -> None:
        """Take one frame. Answers leave from tasks of their own, so that reading goes on."""
        try:
            frame = _parse(message)
            kind = frame[0] if frame else None
            if type(kind) is not int or kind not in (2, 3, 4):
                raise _Malformed(f"message type {_brief(kind)} is not one of 2, 3, 4")
            if kind == 2:
                self._called(frame)
            else:
                self._answered(kind, frame)
        except _Malformed as malformed:
            if self._count("malformed", reason=str(malformed), frame=_brief(message)):
                self._on_malformed(str(malformed))
            if malformed.unique_id is not None:
                refusal = Refusal(schema.FORMATION, str(malformed))
                self._start(Call(malformed.unique_id, "", {}), self._refuse(malformed.unique_id, refusal))

    def _lost(self) -> None:
        if self._waiting is not None and not self._waiting.answer.done():
            self._waiting.answer.set_exception(LinkLost("the connection ended before the answer came"))

    # --- their calls ------------------------------------------------------------------------------------------------

    def _called(self, frame: list[Any]) -> None:
        unique_id = frame[1] if len(frame) > 1 else None
        if isinstance(unique_id, int) and not isinstance(unique_id, bool):
            unique_id = str(unique_id)
        if not isinstance(unique_id, str) or not unique_id:
            raise _Malformed("a CALL without a readable message id")
        if len(frame) != 4:
            raise _Malformed(f"a CALL has 4 elements, not {len(frame)}", unique_id)
        action, payload = frame[2], frame[3]
        if not isinstance(action, str):
            raise _Malformed("the action of a CALL is a string", unique_id)
        if not isinstance(payload, dict):
            raise _Malformed("the payload of a CALL is an object", unique_id)
        if self._mute():
            self._count("muted", action=action)
            return
        call = Call(unique_id, action, payload)
        if len(self._tasks) >= MAX_SERVED:
            self._count("overrun", action=action)
            refusal = Refusal("GenericError", f"{MAX_SERVED} calls wait for their answers already: send one at a time")
            self._start(call, self._refuse(unique_id, refusal))
        else:
            self._start(call, self._serve(call))

    def _start(self, call: Call, work: Coroutine[Any, Any, None]) -> None:
        if len(self._tasks) >= 2 * MAX_SERVED:
            work.close()  # a flood: not even a refusal is owed for all of it
            self._count("dropped", action=call.action)
            return
        task = asyncio.create_task(work)
        self._tasks[task] = call
        task.add_done_callback(self._served)

    def _served(self, task: asyncio.Task[None]) -> None:
        call = self._tasks.pop(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, LinkLost):
            log.info("answer not sent, the connection ended", action=call.action)
            return
        log.error("handler failed", action=call.action, exc_info=error)
        self.counters["handler-failures"] += 1
        refusal = Refusal("InternalError", "the charge point failed to handle the call; its log says why")
        self._start(call, self._refuse(call.unique_id, refusal))

    async def _serve(self, call: Call) -> None:
        try:
            result = await self._handle(call)
        except Refusal as refusal:
            await self._refuse(call.unique_id, refusal)
            return
        except OCPPError as error:
            await self._refuse(call.unique_id, Refusal(error.code, str(error.description)))
            return
        answer, then = (result.answer, result.then) if isinstance(result, Reply) else (result, None)
        payload = to_payload(answer)
        self._check_ours("response", call.action, payload)
        await self._send(CallResult(call.unique_id, payload, call.action).to_json())
        if then is not None:
            self._follow(call, then)

    def _follow(self, call: Call, then: Effect) -> None:
        """Start what follows an answer. It keeps nobody else's answer waiting, and goes on when the link is cut."""
        task = asyncio.ensure_future(then())
        self._following.add(task)
        task.add_done_callback(lambda done: self._followed(call, done))

    def _followed(self, call: Call, task: asyncio.Future[None]) -> None:
        self._following.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        log.error("the work after an answer failed", action=call.action, exc_info=error)
        self.counters["handler-failures"] += 1

    async def _handle(self, call: Call) -> Any:
        if call.action not in self._dialect.actions:
            raise Refusal("NotImplemented", f"{_brief(call.action)} is not an action of OCPP {self._dialect.version}")
        handler = self._handlers.get(call.action)
        if handler is None:
            raise Refusal("NotSupported", f"{call.action} is not something this charge point does")
        payload = schema.normalise(self._dialect.version, "request", call.action, call.payload)
        violation = schema.check(self._dialect.version, "request", call.action, payload)
        if violation is not None:
            raise Refusal(violation.code, violation.text)
        result = handler(**camel_to_snake_case(payload))
        return await result if inspect.isawaitable(result) else result

    async def _refuse(self, unique_id: str, refusal: Refusal) -> None:
        code = self._dialect.spelling.get(refusal.code, refusal.code)
        log.info("call refused", code=code, description=refusal.description)
        await self._send(CallError(unique_id, code, refusal.description[: schema.MAX_TEXT], refusal.details).to_json())

    # --- our calls ----------------------------------------------------------------------------------------------------

    async def call(self, request: Any) -> Payload:
        """Send a message of the `ocpp` package's `call` module and return the answer's payload (camelCase).

        One CALL is in flight at a time; others wait for their turn. Unknown values of an answer are passed on as they
        are; fields the schema does not know are not. Raises CallFailed, AnswerTimeout, AnswerUnusable,
        LinkLost, or NotSendable before anything is sent.
        """
        action = type(request).__name__
        payload = to_payload(request)
        self._check_ours("request", action, payload)
        async with self._turn:
            waiting = _Waiting(str(uuid.uuid4()), action, asyncio.get_running_loop().create_future())
            self._waiting = waiting
            timeout = self._answer_timeout()
            try:
                async with asyncio.timeout(timeout):
                    await self._send(Call(waiting.unique_id, action, payload).to_json())
                    return await waiting.answer
            except TimeoutError:
                self._given_up.append(waiting.unique_id)
                raise AnswerTimeout(f"no answer to {action} within {timeout:g} s") from None
            finally:
                self._waiting = None
                if waiting.answer.done() and not waiting.answer.cancelled():
                    waiting.answer.exception()  # seen, also when the wait was cancelled meanwhile

    def _answered(self, kind: int, frame: list[Any]) -> None:
        unique_id = frame[1] if len(frame) > 1 else None
        if not isinstance(unique_id, str | int) or isinstance(unique_id, bool):
            raise _Malformed("an answer without a readable message id")
        waiting = self._waiting
        if waiting is None or waiting.answer.done() or str(unique_id) != waiting.unique_id:
            self._count("late-answers" if str(unique_id) in self._given_up else "stray-answers", frame=_brief(frame))
            return
        if kind == 4:
            code, description, details = ([*frame[2:5], None, None, None])[:3]
            neutral = _OLD_SPELLING.get(str(code), str(code))
            waiting.answer.set_exception(CallFailed(neutral, str(description or ""), details))
            return
        payload = frame[2] if len(frame) > 2 else None
        if payload is None:
            payload = {}
        if not isinstance(payload, dict):
            waiting.answer.set_exception(AnswerUnusable(f"the answer to {waiting.action} is not an object"))
            return
        self._accept(waiting, payload)

    def _accept(self, waiting: _Waiting, payload: Payload) -> None:
        version = self._dialect.version
        payload = schema.normalise(version, "response", waiting.action, payload)
        violation = schema.check(version, "response", waiting.action, payload)
        if violation is not None and violation.keyword in ("type", "required"):
            text = f"the answer to {waiting.action} lacks what it must have: {violation.text}"
            waiting.answer.set_exception(AnswerUnusable(text))
            return
        if violation is not None:
            self._count("unusual-answers", action=waiting.action, violation=violation.text)
        waiting.answer.set_result(payload)

    # --- both ways ---------------------------------------------------------------------------------------------

    def _check_ours(self, direction: schema.Direction, action: str, payload: Payload) -> None:
        violation = schema.check(self._dialect.version, direction, action, payload)
        if violation is not None:
            raise NotSendable(f"{action} {direction} {_brief(payload)}: {violation.text}")

    async def _send(self, text: str) -> None:
        try:
            await self._wire.send(text)
        except ConnectionClosed as closed:
            raise LinkLost(f"the connection ended: {closed}") from closed

    def _count(self, what: str, **context: Any) -> bool:
        """Count, and log the first of each burst (True: this was one)."""
        self.counters[what] += 1
        now = asyncio.get_running_loop().time()
        if now - self._logged.get(what, -LOG_EVERY_S) >= LOG_EVERY_S:
            self._logged[what] = now
            log.warning(what, count=self.counters[what], **context)
            return True
        return False


class _Malformed(Exception):
    """A frame that is no OCPP-J message; with the id, when that can be read, it can be answered."""

    def __init__(self, reason: str, unique_id: str | None = None) -> None:
        super().__init__(reason)
        self.unique_id = unique_id


def to_payload(message: Any) -> Payload:
    """The JSON object of a message of the `ocpp` package: camelCase, without what is None.

    Objects within it are written in camelCase where they are made, so that only the message's own fields are renamed.
    """
    kind: Any = type(message)
    names = _names(kind)
    return {name: value for field, name in names if (value := getattr(message, field)) is not None}


@lru_cache(maxsize=256)
def _names(kind: Any) -> tuple[tuple[str, str], ...]:
    """Field names of a message class with their names on the wire."""
    return tuple((field.name, next(iter(snake_to_camel_case({field.name: None})))) for field in fields(kind))


def _routes(handlers: Iterable[object]) -> dict[str, Callable[..., Any]]:
    routes: dict[str, Callable[..., Any]] = {}
    for owner in handlers:
        for action, hooks in create_route_map(owner).items():
            routes[str(getattr(action, "value", action))] = hooks["_on_action"]
    return routes


def _parse(message: str | bytes) -> list[Any]:
    try:
        text = message if isinstance(message, str) else message.decode()
        frame = json.loads(text, parse_constant=_no_constant)
        if _HALF_CHARACTER.search(text):
            # JSON can spell half a character, which no text is: neither the journal nor a file would take it.
            frame = json.loads(json.dumps(frame, ensure_ascii=False).encode(errors="replace"))
    except (ValueError, RecursionError) as error:
        readable = _READABLE_CALL.match(message) if isinstance(message, str) else None
        raise _Malformed(f"not JSON: {error}", readable.group(1) if readable else None) from error
    if not isinstance(frame, list):
        raise _Malformed("a frame is a JSON array")
    return frame


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _brief(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 200 else text[:200] + "…"
