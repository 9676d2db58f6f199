"""Readers that pose as a keyboard, read from one named input device and from no other.

The device is grabbed, so that its keys reach neither a console nor anybody else; and a real keyboard plugged in
beside it authorises nobody. Events are the kernel's `struct input_event` (linux/input.h).
"""

import fcntl
import os
import struct

from chargepoint.serial_line import ByteLine

EVENT = struct.Struct("@llHHi")
"""Seconds, microseconds, type, code, value."""
EV_KEY = 1
PRESSED = 1
ENTER = (28, 96)
"""Return, and that of the number pad."""
KEYS: dict[int, str] = dict(zip(range(2, 12), "1234567890", strict=True))
"""Key codes of hexadecimal digits (linux/input-event-codes.h); case does not matter."""
KEYS |= {30: "A", 48: "B", 46: "C", 32: "D", 18: "E", 33: "F"}
KEYS |= {79: "1", 80: "2", 81: "3", 75: "4", 76: "5", 77: "6", 71: "7", 72: "8", 73: "9", 82: "0"}
MODIFIERS = (42, 54, 69)
"""Shifts and Num Lock, which some readers send around their digits."""
EVIOCGRAB = 0x40044590
PAUSE_S = 1.0
"""Digits of one number come within milliseconds; a rest from before is no part of the next."""


class HidKeyboard:
    """Digits until Enter. `decimal`: the reader types a decimal number of 32 bits, not hexadecimal bytes."""

    baudrate = 0

    def __init__(self, decimal: bool = False) -> None:
        self.malformed = 0
        self.trouble: str | None = ""
        self.away: bool | None = None
        self._decimal = decimal
        self._rest = b""
        self._typed = ""
        self._typed_at = 0.0
        self._strange = False

    def start(self, now: float) -> bytes:
        self._rest, self._typed, self._strange = b"", "", False
        return b""

    def due(self) -> float | None:
        return None

    def tick(self, now: float) -> bytes:
        return b""

    def receive(self, data: bytes, now: float) -> list[bytes]:
        self._rest += data
        whole = len(self._rest) - len(self._rest) % EVENT.size
        events, self._rest = self._rest[:whole], self._rest[whole:]
        uids: list[bytes] = []
        if now - self._typed_at > PAUSE_S:
            self._typed, self._strange = "", False
        for _, _, kind, key, value in EVENT.iter_unpack(events):
            if kind == EV_KEY and value == PRESSED:
                self._typed_at = now
                uids += self._pressed(key)
        return uids

    def _pressed(self, key: int) -> list[bytes]:
        if key in KEYS:
            self._typed += KEYS[key]
        elif key in ENTER:
            return self._entered()
        elif key not in MODIFIERS:
            self._strange = True
        return []

    def _entered(self) -> list[bytes]:
        text, strange = self._typed, self._strange
        self._typed, self._strange = "", False
        uid = self._uid(text)
        if strange or not 3 <= len(uid) <= 10:
            self.malformed += 1
            return []
        return [uid]

    def _uid(self, text: str) -> bytes:
        if self._decimal:
            number = int(text) if text.isdigit() else 1 << 32
            return number.to_bytes(4, "big") if number < 1 << 32 else b""
        return bytes.fromhex(text) if len(text) % 2 == 0 else b""


class InputDevice(ByteLine):
    """One device of /dev/input, by the path in the configuration, best one below by-id."""

    def __init__(self, port: str) -> None:
        super().__init__(port)
        self._device = -1

    def _open_device(self) -> int:
        device = os.open(self.port, os.O_RDONLY | os.O_NONBLOCK)
        try:
            grab(device)
        except OSError:
            os.close(device)
            raise
        self._device = device
        return device

    def _read_device(self) -> bytes:
        data = os.read(self._device, EVENT.size * 64)
        if not data:
            raise OSError("the input device ended")
        return data

    def _write_device(self, data: bytes) -> None:
        raise OSError("an input device takes nothing")

    def _close_device(self) -> None:
        os.close(self._device)


def grab(device: int) -> None:
    """Keep the keys from everybody else. OSError when it is no input device, or somebody else has it."""
    fcntl.ioctl(device, EVIOCGRAB, 1)
