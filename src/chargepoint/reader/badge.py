"""What a badge is to the rest of the station, and what a reader's bytes become. Pure."""

from dataclasses import dataclass
from typing import Literal

ByteOrder = Literal["msb", "lsb"]


@dataclass(frozen=True, slots=True)
class Badge:
    """A badge held at a reader."""

    uid: bytes
    """Bytes as the card sends them, byte 0 first; 4, 7 or 10 for ISO 14443, 5 for EM4100."""
    token: str
    """Id token: upper-case hexadecimal in the configured byte order; at most 20 characters."""
    reader: int
    at: float
    """Monotonic seconds."""


def token(uid: bytes, order: ByteOrder = "msb") -> str:
    """Id token of a UID. `msb`: byte 0 first, as most central systems store it; `lsb`: reversed."""
    return (uid if order == "msb" else uid[::-1]).hex().upper()


def masked(uid: bytes) -> str:
    """A UID for the log: enough to tell two cards apart, not enough to copy one."""
    return f"{uid[:1].hex().upper()}..{uid[-1:].hex().upper()}({len(uid)})"


def is_random(uid: bytes) -> bool:
    """A 4-byte UID that begins with 08 is drawn anew at every tap (ISO/IEC 14443-3, 6.5.4): useless as a token."""
    return len(uid) == 4 and uid[0] == 0x08


UNSURE_HOLD_S = 3.0
"""Where nothing shows that a card was away, not seeing it may be the reader's own gap; after so long it is not."""


class HoldFilter:
    """Lets a card count once until it has been away for `hold_s` seconds."""

    def __init__(self, hold_s: float) -> None:
        self._hold_s = hold_s
        self._uid = b""
        self._seen_at = 0.0
        self._disturbed = False

    def disturbed(self) -> None:
        """The reader missed something: until the next sighting, not seeing a card does not mean that it is gone."""
        self._disturbed = True

    def admit(self, uid: bytes, now: float, away: bool | None = None) -> bool:
        """True when this is a new tap. `away`: the reader knows that no card was there before; None: it cannot know."""
        sure = not self._disturbed if away is None else away
        hold_s = self._hold_s if sure else max(self._hold_s, UNSURE_HOLD_S)
        held = uid == self._uid and now - self._seen_at < hold_s
        self._uid, self._seen_at, self._disturbed = uid, now, False
        return not held
