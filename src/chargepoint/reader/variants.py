"""One card, many numbers: how other systems may have written a UID down. Pure."""

from chargepoint.reader.badge import token


def variants(uid: bytes) -> list[tuple[str, str]]:
    """Every usual spelling of a UID with its name, those this software can send first (`byte_order`)."""
    low24 = int.from_bytes(uid[-3:], "big")
    return [
        ('byte_order = "msb"', token(uid, "msb")),
        ('byte_order = "lsb"', token(uid, "lsb")),
        ("with colons", uid.hex(":").upper()),
        ("decimal", str(int.from_bytes(uid, "big"))),
        ("decimal, reversed", str(int.from_bytes(uid, "little"))),
        ("decimal of four bytes", f"{int.from_bytes(uid[-4:], 'big'):010d}"),
        ("printed on 125 kHz tags (last three bytes)", f"{low24:08d}"),
        ("Wiegand 26: facility, card", f"{low24 >> 16:03d},{low24 & 0xFFFF:05d}"),
    ]
