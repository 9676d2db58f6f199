"""Reader protocols by hand-made bytes; no device, and the time given."""

import asyncio
import os
import struct
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargepoint.config import ReaderSection
from chargepoint.reader import em4100, hid, pn532, reader, wiegand
from chargepoint.reader.badge import HoldFilter, is_random, masked
from chargepoint.reader.em4100 import Em4100
from chargepoint.reader.hid import HidKeyboard
from chargepoint.reader.pn532 import Pn532
from chargepoint.reader.reader import KINDS, BadgeReader
from chargepoint.reader.sl032 import Sl032
from chargepoint.reader.twn4 import Twn4
from chargepoint.reader.variants import variants
from chargepoint.reader.wiegand import Wiegand, WiegandDecoder


def test_the_wake_up_of_a_pn532_is_the_manuals():
    assert pn532.frame(pn532.SAM_NORMAL) == bytes.fromhex("0000FF05FBD41401140102 00".replace(" ", ""))
    assert pn532.frame(bytes((pn532.GET_FIRMWARE_VERSION,))) == bytes.fromhex("0000FF02FED4022A00")


def woken():
    protocol = Pn532()
    protocol.start(0.0)
    protocol.receive(pn532.ACK + bytes.fromhex("0000FF06FAD50332010607E800"), 0.1)
    assert pn532.frame(pn532.SAM_NORMAL) == protocol.tick(0.1)
    protocol.receive(pn532.ACK + bytes.fromhex("0000FF02FED5151600"), 0.2)
    assert protocol.tick(0.2) == pn532.frame(pn532.POLL)
    return protocol


def test_a_pn532_answer_by_hand_gives_the_uid():
    protocol = woken()
    assert protocol.trouble == ""
    # One target, type 0x10, 9 bytes: target 1, SENS_RES 0004, SEL_RES 08, 4 bytes of NFCID1.
    answer = bytes.fromhex("0000FF0EF2D5610110090100040804DE AD BE EF".replace(" ", ""))
    body = answer[5:]
    assert protocol.receive(answer + bytes((-sum(body) & 0xFF, 0)), 0.3) == [bytes.fromhex("DEADBEEF")]
    assert protocol.due() == pytest.approx(0.3 + pn532.HELD_PAUSE_S)


def test_a_pn532_that_stays_silent_is_woken_again_and_then_called_silent():
    protocol = woken()
    now = 0.2
    for _ in range(pn532.SILENT_AFTER):
        now += 5.0
        assert protocol.tick(now).startswith(pn532.ACK + pn532.WAKE)
    assert protocol.trouble == "the reader does not answer"


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_no_garbage_breaks_a_protocol(pieces):
    for make in KINDS.values():
        protocol = make()
        protocol.start(0.0)
        for n, piece in enumerate(pieces):
            protocol.receive(piece, float(n))
            protocol.tick(float(n))


@given(st.binary(min_size=5, max_size=5), st.sampled_from([b"", b"\r\n"]), st.binary(max_size=30))
def test_a_125_khz_tag_is_read_after_any_garbage(uid, end, garbage):
    protocol = Em4100()
    protocol.receive(garbage + b"\x03", 0.0)
    assert protocol.receive(em4100.frame(uid, end), 0.1) == [uid]


def test_a_125_khz_frame_by_hand():
    assert Em4100().receive(b"\x0204007C5F3412\x03", 0.0) == []
    check = 0x04 ^ 0x00 ^ 0x7C ^ 0x5F ^ 0x34
    assert Em4100().receive(b"\x0204007C5F34%02X\x03" % check, 0.0) == [bytes.fromhex("04007C5F34")]


def test_sl032_by_hand():
    protocol = Sl032()
    assert protocol.start(0.0) == bytes.fromhex("BA0201B9")
    assert protocol.receive(bytes.fromhex("BD030101BE"), 0.1) == []
    assert protocol.trouble == "" and protocol.due() == pytest.approx(0.3)
    card = bytes.fromhex("BD080100 11223344 01")
    check = 0
    for byte in card:
        check ^= byte
    assert protocol.receive(b"\xff" + card + bytes((check,)), 0.2) == [bytes.fromhex("11223344")]
    assert protocol.malformed == 1


def test_sl032_that_does_not_answer_is_called_silent():
    protocol = Sl032()
    protocol.start(0.0)
    for n in range(3):
        assert protocol.tick(1.0 + n) == bytes.fromhex("BA0201B9")
    assert protocol.trouble == "the reader does not answer"


def test_twn4_by_hand():
    protocol = Twn4()
    assert protocol.start(0.0) == b"050010\r"
    assert protocol.receive(b"0000\r", 0.1) == [] and protocol.trouble == ""
    assert protocol.receive(b"0001803807", 0.2) == []
    assert protocol.receive(b"04A1B2C3D4E5F6\r", 0.2) == [bytes.fromhex("04A1B2C3D4E5F6")]
    assert protocol.receive(b"what?\r", 0.3) == [] and protocol.malformed == 1


def edges(bits, start=0.0, spacing=0.0015):
    return [(bit, start + n * spacing) for n, bit in enumerate(bits)]


@given(st.sampled_from([3, 4, 7]).flatmap(lambda n: st.binary(min_size=n, max_size=n)))
def test_a_wiegand_frame_gives_its_bytes_when_it_has_ended(uid):
    decoder = WiegandDecoder()
    for line, at in edges(wiegand.bits(uid)):
        assert decoder.edge(line, at) == []
    assert decoder.flush(decoder.due() - 0.001) == []
    assert decoder.flush(decoder.due()) == [uid]
    assert decoder.due() is None


@given(st.binary(min_size=3, max_size=3), st.integers(0, 25))
def test_a_wrong_bit_breaks_the_parity(uid, at):
    bits = wiegand.bits(uid)
    bits[at] ^= 1
    decoder = WiegandDecoder()
    for edge in edges(bits):
        decoder.edge(*edge)
    assert decoder.flush(1.0) == [] and decoder.malformed == 1


def test_wiegand_26_by_hand():
    # Facility 1, card 2: data 00000001 0000000000000010, even parity over 12 is 1, odd over 12 is 0.
    frame = [1, *map(int, "000000010000000000000010"), 0]
    decoder = WiegandDecoder()
    for edge in edges(frame):
        decoder.edge(*edge)
    assert decoder.flush(1.0) == [b"\x01\x00\x02"]


def test_a_wiegand_frame_cut_short_does_not_spoil_the_next():
    decoder = WiegandDecoder()
    for edge in edges(wiegand.bits(b"\x01\x02\x03")[:10]):
        decoder.edge(*edge)
    for edge in edges(wiegand.bits(b"\x04\x05\x06"), start=1.0):
        decoder.edge(*edge)
    assert decoder.flush(2.0) == [b"\x04\x05\x06"] and decoder.malformed == 1


# Frames of two cards, written by hand from the format: P, bytes most significant bit first, P.
# W26: facility 123, card 45678. Even over the first twelve (9 ones): 1; odd over the last twelve (6 ones): 1.
# W34: UID DE AD BE EF. Ones: DE 6, AD 5 (11, even parity 1); BE 6, EF 7 (13, odd parity 0).
GOLDEN_WIEGAND = [
    ("1 01111011 10110010 01101110 1", "7BB26E"),
    ("1 11011110 10101101 10111110 11101111 0", "DEADBEEF"),
]


def kernel_events(bits, first=1, start_ns=5_000_000_000, spacing_ns=1_500_000, zero=14, one=15):
    """`struct gpio_v2_line_event`, as the kernel of the controller writes them (little-endian)."""
    return b"".join(
        struct.pack("<QIIII24x", start_ns + n * spacing_ns, 2, one if bit == "1" else zero, first + n, first + n)
        for n, bit in enumerate(bits.replace(" ", ""))
    )


@pytest.mark.parametrize(("frame", "uid"), GOLDEN_WIEGAND)
def test_a_wiegand_frame_by_hand_from_the_kernel_s_events(frame, uid):
    protocol = Wiegand(zero=14)
    assert protocol.start(5.0) == b"" and protocol.trouble == ""
    events = kernel_events(frame)
    assert protocol.receive(events[:100], 5.0) == []  # two events and a piece
    assert protocol.receive(events[100:], 5.05) == []
    due = protocol.due()
    assert due == pytest.approx(5 + (len(frame.replace(" ", "")) - 1) * 0.0015 + wiegand.FRAME_END_S)
    assert protocol.receive(b"", due) == [bytes.fromhex(uid)] and protocol.malformed == 0 and protocol.due() is None


def test_a_busy_station_reads_two_wiegand_cards_from_one_gulp_of_events():
    first, second = (frame for frame, _ in GOLDEN_WIEGAND)
    events = kernel_events(first) + kernel_events(second, first=27, start_ns=5_200_000_000)
    protocol = Wiegand(zero=14)
    protocol.start(5.0)
    assert protocol.receive(events, 6.0) == [bytes.fromhex(uid) for _, uid in GOLDEN_WIEGAND]


def test_a_wiegand_frame_with_lost_edges_is_counted_and_the_next_one_read():
    (frame, _), (other, uid) = GOLDEN_WIEGAND
    events = kernel_events(frame)
    torn = events[: 5 * 48] + events[8 * 48 :]
    protocol = Wiegand(zero=14)
    protocol.start(5.0)
    assert protocol.receive(torn, 6.0) == [] and protocol.malformed >= 1
    protocol.malformed = 0
    assert protocol.receive(kernel_events(other, first=27, start_ns=7_000_000_000), 8.0) == [bytes.fromhex(uid)]
    assert protocol.malformed == 0


def typed(text, enter=True):
    codes = {char: code for code, char in reversed(hid.KEYS.items())}
    keys = [codes[c] for c in text] + ([28] if enter else [])
    events = [(0, 0, 1, key, value) for key in keys for value in (1, 0)]
    return b"".join(struct.pack("@llHHi", *event) + struct.pack("@llHHi", 0, 0, 0, 0, 0) for event in events)


def test_a_keyboard_reader_types_hexadecimal_until_enter():
    data = typed("04A1B2C3")
    protocol = HidKeyboard()
    assert protocol.receive(data[:100], 0.0) == []
    assert protocol.receive(data[100:], 0.01) == [bytes.fromhex("04A1B2C3")]


def test_a_keyboard_reader_may_type_a_decimal_number():
    assert HidKeyboard(decimal=True).receive(typed("0077771459"), 0.0) == [(77771459).to_bytes(4, "big")]
    assert HidKeyboard(decimal=True).receive(typed("9999999999"), 0.0) == []


def test_other_keys_make_a_number_void_and_old_digits_are_forgotten():
    protocol = HidKeyboard()
    strange = struct.pack("@llHHi", 0, 0, 1, 16, 1)  # Q
    assert protocol.receive(strange + typed("04A1B2C3"), 0.0) == [] and protocol.malformed == 1
    assert protocol.receive(typed("77", enter=False), 1.0) == []
    assert protocol.receive(typed("04A1B2C3"), 9.0) == [bytes.fromhex("04A1B2C3")]


@pytest.mark.asyncio
async def test_a_keyboard_reader_is_read_from_its_device(tmp_path, monkeypatch):
    monkeypatch.setattr(hid, "grab", lambda device: None)  # a pipe cannot be grabbed
    os.mkfifo(tmp_path / "event")
    badges = []
    section = ReaderSection(kind="hid")
    task = asyncio.create_task(BadgeReader(section, str(tmp_path / "event"), badges.append, lambda *state: None).run())
    await asyncio.sleep(0.05)
    device = os.open(tmp_path / "event", os.O_WRONLY | os.O_NONBLOCK)
    os.write(device, typed("04A1B2C3"))
    deadline = time.monotonic() + 3
    while not badges:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    os.close(device)
    task.cancel()
    await asyncio.wait([task])
    assert badges[0].token == "04A1B2C3"


@pytest.mark.asyncio
async def test_something_that_is_no_input_device_is_refused(tmp_path):
    os.mkfifo(tmp_path / "event")
    states = []
    task = asyncio.create_task(
        BadgeReader(ReaderSection(kind="hid"), str(tmp_path / "event"), print, lambda *s: states.append(s)).run()
    )
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.wait([task])
    assert states and states[0][1] is False and "cannot be opened" in states[0][2]


@given(st.lists(st.floats(0, 60, allow_nan=False), min_size=1, max_size=30).map(sorted))
def test_a_held_card_counts_once_per_stay(times):
    hold = HoldFilter(2.0)
    admitted = [t for t in times if hold.admit(b"\x01\x02\x03\x04", t)]
    stays = 1 + sum(1 for a, b in pairwise(times) if b - a >= 2.0)
    assert len(admitted) == stays


def test_a_gap_that_the_reader_made_is_no_second_tap():
    hold = HoldFilter(0.6)
    assert hold.admit(b"\x01\x02\x03\x04", 0.0)
    hold.disturbed()
    assert not hold.admit(b"\x01\x02\x03\x04", 1.5)
    assert hold.admit(b"\x01\x02\x03\x04", 3.0)


def test_a_card_that_lies_there_is_never_a_second_tap_however_slow_the_reader():
    hold = HoldFilter(0.6)
    assert hold.admit(b"\x01\x02\x03\x04", 0.0, away=True)
    assert not hold.admit(b"\x01\x02\x03\x04", 0.9, away=False)
    assert not hold.admit(b"\x01\x02\x03\x04", 1.3, away=True)
    assert hold.admit(b"\x01\x02\x03\x04", 2.0, away=True)


def test_a_pn532_knows_whether_the_card_was_away():
    protocol = woken()  # polls since 0.2
    card = pn532.frame(bytes.fromhex("6101100901000408 04DEADBEEF"), pn532.FROM_CHIP)
    nobody = pn532.frame(bytes.fromhex("6100"), pn532.FROM_CHIP)
    assert protocol.receive(card, 0.3) and protocol.away is False
    protocol.tick(0.6)
    assert protocol.receive(card, 0.9) and protocol.away is False
    protocol.tick(2.0)
    assert protocol.receive(nobody, 2.7) == []
    protocol.tick(2.7)
    assert protocol.receive(card, 2.8) and protocol.away is True


def test_uids_in_logs_are_masked_and_random_ones_are_known():
    assert masked(bytes.fromhex("04A1B2C3D4E5F6")) == "04..F6(7)"
    assert is_random(bytes.fromhex("08112233")) and not is_random(bytes.fromhex("04112233"))


def test_all_spellings_of_a_card():
    found = dict(variants(bytes.fromhex("04007C5F34")))
    assert found['byte_order = "msb"'] == "04007C5F34" and found['byte_order = "lsb"'] == "345F7C0004"
    assert found["printed on 125 kHz tags (last three bytes)"] == "08150836"
    assert found["Wiegand 26: facility, card"] == "124,24372"


def test_every_kind_of_the_configuration_has_a_protocol():
    kinds = ReaderSection.__annotations__["kind"].__args__
    assert set(kinds) == {*reader.KINDS, "wiegand"}
