"""The WebSocket to the central system: made, watched, lost and made again.

One `Link` keeps one connection at a time. It knows nothing of what is said on it: each new connection is handed to
`serve`, and is over when that returns. Waiting times are monotonic.
"""

import asyncio
import base64
import contextlib
import os
import random
import re
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit, urlunsplit

import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from chargepoint.ocpp.lookout import LOOK_S, SLACK_S, Lookout

OPEN_TIMEOUT_S: Final = 15.0
NEXT_ADDRESS_S: Final = 0.25
"""A silent address of the central system (IPv6 that leads nowhere) gets so long before the next is tried beside it
(RFC 8305, section 5)."""
CLOSE_TIMEOUT_S: Final = 2.0
LONGEST_ATTEMPT_S: Final = round(OPEN_TIMEOUT_S + 4 * CLOSE_TIMEOUT_S + SLACK_S)
"""An attempt to connect has come to something by then; the closing has up to four waits of its own."""
SHORTEST_WAIT_S: Final = 0.1
LONGEST_WAIT_S: Final = 3600.0
"""Between two attempts, whatever the keys say: neither without a breath (an attempt may fail at once, and nothing else
would get its turn), nor for the years that a large minimum doubled often enough comes to."""
MAX_MESSAGE: Final = 1 << 20
"""Bytes; a longer message of the central system closes the connection with status 1009."""
HEX_KEY_LENGTH: Final = 32
"""Characters; an AuthorizationKey of at least so many hexadecimal digits is taken as the bytes it spells."""

log = structlog.get_logger("ocpp.link")


@dataclass(slots=True)
class LinkPolicy:
    """Timing of a link, s. Read when it is used, so that a change takes effect at once (see `Link.policy_changed`)."""

    ping_interval_s: float = 60.0
    """0: no pings of ours; those of the central system are answered in any case."""
    pong_timeout_s: float = 10.0
    wait_minimum_s: float = 3.0
    random_range_s: float = 10.0
    repeat_times: int = 3
    """How often the waiting time doubles before it stays as it is."""
    stable_s: float = 30.0
    """Only a connection that has lasted so long starts the waiting times anew."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to connect and how to prove who we are."""

    url: str
    """Without the identity."""
    identity: str
    subprotocol: str
    security_profile: int = 0
    """0: nothing; 1: Basic authentication; 2: that within TLS; 3: TLS with a certificate of our own."""
    password: bytes | None = None
    trust: str = ""
    """PEM of the roots the central system's certificate must lead to; empty: those of the operating system."""
    certificate: str = ""
    """PEM of our own certificate chain, for profile 3."""
    key: str = ""

    @property
    def address(self) -> str:
        """The URL with the identity as last path segment (URL-encoded) and the scheme the profile asks for."""
        parts = urlsplit(self.url)
        scheme = "wss" if self.security_profile >= 2 or parts.scheme == "wss" else "ws"
        path = f"{parts.path.rstrip('/')}/{quote(self.identity, safe='')}"
        return urlunsplit((scheme, parts.netloc, path, parts.query, ""))

    def headers(self) -> dict[str, str]:
        """Basic authentication for profiles 1 and 2; the user is the identity as it is."""
        if self.password is None or self.security_profile not in (1, 2):
            return {}
        return {"Authorization": "Basic " + base64.b64encode(self.identity.encode() + b":" + self.password).decode()}

    def tls(self) -> ssl.SSLContext | None:
        """TLS 1.2 or later with a check of the server's certificate and name. Raises OSError for bad PEM."""
        if not self.address.startswith("wss:"):
            return None
        context = ssl.create_default_context(cadata=self.trust or None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # an installed root need not be self-signed
        if self.security_profile == 3 and self.certificate:
            _load_pair(context, self.certificate, self.key)
        return context


def _load_pair(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """`ssl` reads keys from files only; this one never reaches a disk."""
    handle = os.memfd_create("identity", os.MFD_CLOEXEC)
    try:
        os.write(handle, f"{certificate}\n{key}".encode())
        context.load_cert_chain(f"/proc/self/fd/{handle}")
    finally:
        os.close(handle)


def basic_password(key: str, *, literal: bool = False) -> bytes:
    """The bytes an AuthorizationKey stands for.

    Hexadecimal when it looks so (an even number of at least 32 digits), as the security white paper has it;
    central systems that mean the text itself are served with `literal`.
    """
    if not literal and len(key) >= HEX_KEY_LENGTH and len(key) % 2 == 0 and re.fullmatch("[0-9A-Fa-f]+", key):
        return bytes.fromhex(key)
    return key.encode()


class Backoff:
    """Waiting times between attempts to connect: minimum + random, doubled some times, then constant."""

    def __init__(self, policy: LinkPolicy, rand: Callable[[], float] = random.random) -> None:
        self._policy = policy
        self._rand = rand
        self._failures = 0

    def next(self) -> float:
        """Seconds to wait before the next attempt."""
        policy = self._policy
        doublings = min(self._failures, policy.repeat_times)
        self._failures += 1
        wait = policy.wait_minimum_s * 2**doublings + self._rand() * policy.random_range_s
        return float(min(max(wait, SHORTEST_WAIT_S), LONGEST_WAIT_S))

    def reset(self) -> None:
        """A connection was stable: begin with the shortest time again."""
        self._failures = 0


class Link:
    """Keeps a connection as long as it is wanted.

    `endpoint` is asked before each attempt (None: nowhere to connect to). `serve` gets each connection and returns
    when it is over. `on_failure` hears of each failed attempt.
    """

    def __init__(
        self,
        endpoint: Callable[[], Endpoint | None],
        policy: LinkPolicy,
        serve: Callable[[ClientConnection], Awaitable[None]],
        on_failure: Callable[[BaseException], None] = lambda error: None,
        rand: Callable[[], float] = random.random,
    ) -> None:
        self._endpoint = endpoint
        self._policy = policy
        self._serve = serve
        self._on_failure = on_failure
        self._backoff = Backoff(policy, rand)
        self._wanted = asyncio.Event()
        self._wanted.set()
        self._nudge = asyncio.Event()
        self._policy_changed = asyncio.Event()
        self._connection: ClientConnection | None = None
        self.lookout = Lookout()
        """Shows that the loop lives, also while a connection stands or none is wanted."""
        self.trouble = ""
        """Why the last attempt failed; empty after one that did not."""

    @property
    def connected(self) -> bool:
        """A WebSocket is open."""
        return self._connection is not None

    def connect(self) -> None:
        """Connect at once, and stay connected."""
        self._wanted.set()
        self._nudge.set()

    async def disconnect(self) -> None:
        """Close the connection, and stay away until `connect`."""
        self._wanted.clear()
        await self._close()

    async def reconnect(self) -> None:
        """Close the connection and make a new one at once (with what `endpoint` then says)."""
        self._nudge.set()
        await self._close()

    def drop(self) -> None:
        """Give the connection up without ceremony, and wait as after any that was lost."""
        if self._connection is not None:
            self._connection.transport.abort()

    def policy_changed(self) -> None:
        """The ping interval may be another one."""
        self._policy_changed.set()

    async def _close(self) -> None:
        if self._connection is not None:
            await self._connection.close()

    async def run(self) -> None:
        """Connect, serve, wait, again; until cancelled."""
        while True:
            await self.lookout.wait(self._wanted)
            endpoint = self._endpoint()
            if endpoint is not None:
                self._nudge.clear()
                started = asyncio.get_running_loop().time()
                await self._attempt(endpoint)
                if asyncio.get_running_loop().time() - started >= self._policy.stable_s:
                    self._backoff.reset()
            await self._pause()

    async def _pause(self) -> None:
        wait = self._backoff.next()
        log.info("next attempt to connect", wait_s=round(wait, 1))
        await self.lookout.wait(self._nudge, wait)

    async def _attempt(self, endpoint: Endpoint) -> None:
        try:
            connection = await connect(
                endpoint.address,
                ssl=endpoint.tls(),
                subprotocols=[Subprotocol(endpoint.subprotocol)],
                additional_headers=endpoint.headers(),
                compression=None,
                proxy=None,
                ping_interval=None,
                open_timeout=OPEN_TIMEOUT_S,
                close_timeout=CLOSE_TIMEOUT_S,
                max_size=MAX_MESSAGE,
                user_agent_header="chargepoint",
                happy_eyeballs_delay=NEXT_ADDRESS_S,
            )
        except (OSError, WebSocketException, TimeoutError, UnicodeError) as error:  # UnicodeError: no host name is so
            self.trouble = _reason(error)
            log.warning("cannot connect", url=endpoint.address, reason=self.trouble)
            self._on_failure(error)
            return
        if connection.subprotocol is None:
            log.warning("the central system agreed to no subprotocol", wanted=endpoint.subprotocol)
        self.trouble = ""
        log.info("connected", url=endpoint.address)
        await self._hold(connection)

    async def _hold(self, connection: ClientConnection) -> None:
        self._connection = connection
        ping = asyncio.create_task(self._ping(connection))
        serve = asyncio.ensure_future(self._serve(connection))
        try:
            while not serve.done():
                self.lookout.turns += 1
                await asyncio.wait({serve}, timeout=LOOK_S)
            if not serve.cancelled() and (error := serve.exception()) is not None:
                log.error("the connection's service failed", exc_info=error)
        finally:
            self._connection = None
            serve.cancel()
            ping.cancel()
            await asyncio.gather(ping, serve, return_exceptions=True)
            await connection.close()
            log.info("disconnected", code=connection.close_code, reason=connection.close_reason)

    async def _ping(self, connection: ClientConnection) -> None:
        """Ping at the interval of the moment; a pong that stays away ends the connection without ceremony."""
        try:
            while True:
                self._policy_changed.clear()
                interval = self._policy.ping_interval_s
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(interval if interval > 0 else None):
                        await self._policy_changed.wait()
                    continue
                pong = await connection.ping()
                async with asyncio.timeout(self._policy.pong_timeout_s):
                    await pong
        except TimeoutError:
            log.warning("no pong", waited_s=self._policy.pong_timeout_s)
            connection.transport.abort()
        except ConnectionClosed:
            return


def _reason(error: BaseException) -> str:
    if isinstance(error, InvalidStatus):
        return f"the central system answered HTTP {error.response.status_code}"
    return str(error) or type(error).__name__
