"""Signed meter data in the Open Charge Metering Format (S.A.F.E. e.V., OCMF 1.0). Pure: text in, text out.

The charging station says who charges and where; the meter adds its registers and signs. What a customer checks is the
meter's text between the bars, byte for byte as it was signed, so nothing here may touch it.
"""

import json
from dataclasses import dataclass

FORMAT_VERSION = "1.0"
PUBLIC_KEY_PREFIX = bytes.fromhex("3059301306072A8648CE3D020106082A8648CE3D03010703420004")
"""DER head of an uncompressed key on secp256r1 (RFC 5480); the meter gives the two coordinates alone."""
MAX_DATASET = 1024
"""Bytes the meter takes."""


class BadSignature(ValueError):
    """What the meter gave is no ECDSA signature in DER."""


@dataclass(frozen=True, slots=True)
class Station:
    """Who is responsible for the data set."""

    vendor: str
    serial: str
    firmware: str


@dataclass(frozen=True, slots=True)
class SignedData:
    """One signed transaction."""

    payload: str
    """The meter's JSON text, as signed."""
    signature: bytes
    """DER."""
    public_key: bytes
    """SubjectPublicKeyInfo, DER."""

    @property
    def text(self) -> str:
        """The OCMF string, as transparency software reads it."""
        return f'OCMF|{self.payload}|{{"SD":"{self.signature.hex().upper()}"}}'


def dataset(station: Station, token: str, evse_id: str) -> str:
    """What the station writes into the meter before a transaction. Raises ValueError when it is too long.

    Keys stand in the order the meter demands, without spaces; the empty ones are the meter's to fill.
    """
    fields = {
        "FV": FORMAT_VERSION,
        "GI": _plain(station.vendor),
        "GS": _plain(station.serial),
        "PG": "",
        "MV": "",
        "MM": "",
        "MS": "",
        "MF": "",
        "IS": bool(token),
        "IF": ["RFID_PLAIN"] if token else [],
        "IT": "ISO14443" if token else "NONE",
        "ID": _plain(token),
        "CF": _plain(station.firmware),
        "CT": "EVSEID",
        "CI": _plain(evse_id),
        "RD": [],
    }
    text = json.dumps(fields, separators=(",", ":"), ensure_ascii=True)
    if len(text) > MAX_DATASET:
        raise ValueError(f"the data set has {len(text)} bytes, the meter takes {MAX_DATASET}; shorten vendor or serial")
    return text


def _plain(text: str) -> str:
    """A bar would end the payload early."""
    return text.replace("|", " ")


def public_key(coordinates: bytes) -> bytes:
    """SubjectPublicKeyInfo of the 64 bytes the meter gives."""
    return PUBLIC_KEY_PREFIX + coordinates


def repair_signature(der: bytes) -> bytes:
    """The signature with its two numbers as short as DER wants them (ITU-T X.690, 8.3.2).

    The meter's firmware keeps leading zeros, which strict verifiers refuse (EVerest RsIskraMeter). Raises BadSignature.
    """
    if len(der) < 8 or der[0] != 0x30 or der[1] != len(der) - 2:
        raise BadSignature(f"no DER sequence: {der[:4].hex()}... of {len(der)} bytes")
    numbers, rest = [], der[2:]
    while rest:
        if len(rest) < 3 or rest[0] != 0x02 or len(rest) < 2 + rest[1] or rest[1] == 0:
            raise BadSignature(f"no DER integer at byte {len(der) - len(rest)}")
        digits, rest = rest[2 : 2 + rest[1]], rest[2 + rest[1] :]
        digits = digits.lstrip(b"\0") or b"\0"
        if digits[0] & 0x80:
            digits = b"\0" + digits
        numbers.append(bytes((0x02, len(digits))) + digits)
    if len(numbers) != 2:
        raise BadSignature(f"{len(numbers)} numbers in it instead of 2")
    body = b"".join(numbers)
    return bytes((0x30, len(body))) + body
