"""The signing half of a simulated Iskra WM3M4C: its holding registers, and a real ECDSA key behind them."""

import json
from collections.abc import Callable

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from chargepoint.meter import iskra

_LAST = iskra.SIGNATURE + 64


class SimSigner:
    """Takes writes, gives reads; signs at once. `energy_wh` is the meter's register."""

    def __init__(self, energy_wh: Callable[[], float]) -> None:
        self._energy_wh = energy_wh
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._words = [0] * (_LAST - iskra.STATE)
        self._begun_wh = 0.0
        self._page = 0
        self.broken_status: int | None = None
        """Answer this status instead of signing."""
        numbers = self._key.public_key().public_numbers()
        self._store(iskra.PUBLIC_KEY, numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big"))

    def holds(self, address: int, count: int) -> bool:
        return address >= iskra.STATE and address + count <= _LAST

    def read(self, address: int, count: int) -> list[int]:
        return self._words[address - iskra.STATE : address - iskra.STATE + count]

    def write(self, address: int, words: list[int]) -> None:
        at = address - iskra.STATE
        self._words[at : at + len(words)] = words
        if address == iskra.COMMAND and words[0] == iskra.BEGIN:
            self._begin()
        elif address == iskra.COMMAND and words[0] == iskra.END:
            self._end()

    def _begin(self) -> None:
        self._begun_wh = self._energy_wh()
        self._set(iskra.STATE, iskra.ACTIVE)
        self._set(iskra.STATUS, self.broken_status or iskra.SIGNED)

    def _end(self) -> None:
        self._page += 1
        length = self.read(iskra.LENGTH_IN, 1)[0]
        fields = json.loads(self._bytes(iskra.DATASET_IN, length) or b"{}")
        fields |= {"PG": f"T{self._page}", "MV": "Iskra", "MM": "WM3M4C", "MS": "SIM1", "MF": "1.0"}
        fields["RD"] = [
            {"TX": "B", "RV": f"{self._begun_wh / 1000:.3f}", "RU": "kWh", "ST": "G"},
            {"TX": "E", "RV": f"{self._energy_wh() / 1000:.3f}", "RU": "kWh", "ST": "G"},
        ]
        payload = json.dumps(fields, separators=(",", ":")).encode()
        signature = self._key.sign(payload, ec.ECDSA(hashes.SHA256()))
        self._store(iskra.DATASET_OUT, payload)
        self._store(iskra.SIGNATURE, signature)
        self._set(iskra.LENGTH_OUT, len(payload))
        self._set(iskra.LENGTH_SIGNATURE, len(signature))
        self._set(iskra.STATE, iskra.IDLE)
        self._set(iskra.STATUS, self.broken_status or iskra.SIGNED)

    def _set(self, address: int, value: int) -> None:
        self._words[address - iskra.STATE] = value

    def _store(self, address: int, raw: bytes) -> None:
        padded = raw + b"\0" * (len(raw) % 2)
        for i in range(0, len(padded), 2):
            self._set(address + i // 2, int.from_bytes(padded[i : i + 2], "big"))

    def _bytes(self, address: int, length: int) -> bytes:
        words = self.read(address, (length + 1) // 2)
        return b"".join(word.to_bytes(2, "big") for word in words)[:length]
