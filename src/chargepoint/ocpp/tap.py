"""The last messages on the link, for whoever looks for the cause of something: redacted, bounded, in memory alone."""

import re
from collections import deque
from datetime import UTC, datetime
from typing import Literal

from chargepoint.ocpp.rpc import Wire

KEPT = 200
MAX_TEXT = 600
"""Characters of a message that are kept."""

_TEXT = r'"(?:[^"\\]|\\.)*"'
_TOKEN = re.compile(r'("(?:idTag|parentIdTag)"\s*:\s*")([^"]{3})[^"]*(")')
_SECRET_KEY = r'"key"\s*:\s*"(?:AuthorizationKey|[^"]*password[^"]*)"'
_SECRET = (
    re.compile(rf'({_SECRET_KEY}\s*,\s*"value"\s*:\s*){_TEXT}', re.IGNORECASE),
    re.compile(rf'("value"\s*:\s*){_TEXT}(?=\s*,\s*{_SECRET_KEY})', re.IGNORECASE),
)
"""Names of keys know no upper and lower case, and the members of a JSON object no order."""
_USER = re.compile(r'(://)[^/?#@\s"]*@')
"""Name and password in the address of a server for firmware or diagnostics."""


class Tap:
    """Keeps what passes. `around` a wire of the moment gives one that keeps as well."""

    def __init__(self) -> None:
        self._kept: deque[tuple[str, str, str]] = deque(maxlen=KEPT)

    def around(self, wire: Wire) -> Wire:
        return _Tapped(wire, self)

    def keep(self, direction: Literal["in", "out"], message: str | bytes) -> None:
        text = message if isinstance(message, str) else message.decode(errors="replace")
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._kept.append((at, direction, redacted(text)[:MAX_TEXT]))

    def newest(self, count: int) -> list[dict[str, str]]:
        """Oldest first."""
        rows = list(self._kept)[-count:] if count > 0 else []
        return [{"at": at, "direction": direction, "text": text} for at, direction, text in rows]


class _Tapped:
    def __init__(self, wire: Wire, tap: Tap) -> None:
        self._wire = wire
        self._tap = tap

    async def recv(self) -> str | bytes:
        message = await self._wire.recv()
        self._tap.keep("in", message)
        return message

    async def send(self, message: str) -> None:
        await self._wire.send(message)
        self._tap.keep("out", message)


def redacted(text: str) -> str:
    """Badges cut short, passwords left out."""
    text = _USER.sub(r"\1***@", _TOKEN.sub(r"\1\2***\3", text))
    for secret in _SECRET:
        text = secret.sub(r'\1"***"', text)
    return text
