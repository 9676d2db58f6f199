"""Who may act: a PIN per borne, kept as an scrypt hash, with growing delays for who guesses.

The hash stands in a file of its own (`[console] pin_file`); there is no default PIN, and without one nobody may act.
Wrong guesses are counted in the run directory, so that another session on another line does not begin at none. Checks
are made one at a time, under a lock: many sessions at once guess no faster than one.
"""

import base64
import fcntl
import hashlib
import hmac
import itertools
import json
import os
import secrets
import stat
import time
from collections.abc import Callable
from pathlib import Path

_N, _R, _P = 2**14, 8, 1
"""scrypt: 16 MiB and some 50 ms on a desktop processor; RFC 7914 gives these for interactive logins."""
MIN_DIGITS = 6
FREE_GUESSES = 3
DELAY_S, DELAY_MAX_S = 2.0, 3600.0
"""After the free guesses: 2 s, doubled by each wrong one, at most an hour."""
COUNT_FILE = "console-guesses.json"


class NoPin(Exception):
    """No PIN has been set on this borne."""


class BadPin(ValueError):
    """A new PIN that is too easy; the text says why."""


class LockedOut(Exception):
    """Too many wrong guesses; `seconds` is how long still. `first`: nobody has tried since the last guess."""

    def __init__(self, seconds: float, first: bool) -> None:
        super().__init__(f"locked for {seconds:.0f} s")
        self.seconds = seconds
        self.first = first


def hashed(pin: str, salt: bytes | None = None) -> str:
    """The line that is kept: `scrypt$N$r$p$salt$hash`."""
    salt = salt or secrets.token_bytes(16)
    key = hashlib.scrypt(pin.encode(), salt=salt, n=_N, r=_R, p=_P, maxmem=64 * 2**20)
    return "$".join(
        ["scrypt", str(_N), str(_R), str(_P), base64.b64encode(salt).decode(), base64.b64encode(key).decode()]
    )


def matches(pin: str, kept: str) -> bool:
    """Whether the PIN is the one that was kept. A damaged line matches nothing."""
    try:
        name, n, r, p, salt, key = kept.strip().split("$")
        made = hashlib.scrypt(
            pin.encode(), salt=base64.b64decode(salt), n=int(n), r=int(r), p=int(p), maxmem=64 * 2**20
        )
        return name == "scrypt" and hmac.compare_digest(made, base64.b64decode(key))
    except (ValueError, OverflowError):
        return False


def judge(pin: str) -> None:
    """Raises BadPin for what anybody would guess."""
    if not pin.isascii() or not pin.isdecimal() or len(pin) < MIN_DIGITS:
        raise BadPin("a PIN has at least 6 digits and nothing else")
    steps = {(int(b) - int(a)) % 10 for a, b in itertools.pairwise(pin)}
    if len(steps) == 1 or len(set(pin)) < 3:
        raise BadPin("that PIN is too easy to guess")


class Access:
    """The lock of one borne's console."""

    def __init__(self, pin_file: Path, run_dir: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._pin_file = pin_file
        self._counts = run_dir / COUNT_FILE
        self._clock = clock

    @property
    def pin_set(self) -> bool:
        return self._pin_file.exists()

    def check(self, pin: str) -> bool:
        """Whether the PIN is right.

        Raises:
            NoPin: none has been set.
            LockedOut: too early after wrong guesses; the PIN was not looked at.
            OSError: the hash or the count cannot be read or written; then nobody gets in.
        """
        try:
            kept = self._pin_file.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            raise NoPin from None
        descriptor = os.open(self._counts, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            wrong, until, tried = self._read(descriptor)
            if self._clock() < until:
                if not tried:
                    self._write(descriptor, wrong, until, True)
                raise LockedOut(until - self._clock(), not tried)
            right = matches(pin, kept)
            wrong = 0 if right else wrong + 1
            self._write(descriptor, wrong, self._clock() + delay(wrong), False)
            return right
        finally:
            os.close(descriptor)

    def set_pin(self, pin: str) -> None:
        """Keep a new PIN, readable by whom the one before was, or by the folder's group. Raises BadPin, OSError."""
        judge(pin)
        fresh = self._pin_file.with_name(self._pin_file.name + ".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
        with os.fdopen(descriptor, "w") as file:
            self._own(descriptor)
            file.write(hashed(pin) + "\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._pin_file)

    def _own(self, descriptor: int) -> None:
        """Root may set the PIN of a console that runs as another user."""
        try:
            kept = self._pin_file.stat()
        except FileNotFoundError:
            os.fchmod(descriptor, 0o640)
            if os.geteuid() == 0:
                os.fchown(descriptor, -1, self._pin_file.parent.stat().st_gid)
        else:
            os.fchmod(descriptor, stat.S_IMODE(kept.st_mode))
            if os.geteuid() == 0:
                os.fchown(descriptor, kept.st_uid, kept.st_gid)

    @staticmethod
    def _read(descriptor: int) -> tuple[int, float, bool]:
        """Wrong guesses in a row, until when none is looked at, and whether somebody tried meanwhile.

        A count that cannot be read was tampered with, or cut off: it counts as used up.
        """
        raw = os.read(descriptor, 4096)
        if not raw:
            return 0, 0.0, False
        try:
            kept = json.loads(raw)
            return int(kept["wrong"]), float(kept["until"]), bool(kept.get("tried"))
        except (ValueError, KeyError, TypeError):
            return FREE_GUESSES, 0.0, False

    @staticmethod
    def _write(descriptor: int, wrong: int, until: float, tried: bool) -> None:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"wrong": wrong, "until": until, "tried": tried}).encode(), 0)


def delay(wrong: int) -> float:
    """Seconds until the next guess after so many wrong ones in a row."""
    if wrong < FREE_GUESSES:
        return 0.0
    return min(DELAY_S * 2.0 ** min(wrong - FREE_GUESSES, 20), DELAY_MAX_S)
