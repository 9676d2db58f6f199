"""The reader drivers against simulated readers on a real pseudo-terminal."""

import asyncio
import os
import time
from contextlib import asynccontextmanager

import pytest

from chargepoint.config import ReaderSection
from chargepoint.reader import gpio_edges, pn532, wiegand
from chargepoint.reader.reader import BadgeReader, UnknownReader
from chargepoint.sim.wire_readers import SimReader


async def until(what, within=8.0):
    deadline = time.monotonic() + within
    while not what():
        assert time.monotonic() < deadline, "did not happen in time"
        await asyncio.sleep(0.01)


class Seen:
    def __init__(self):
        self.badges, self.states = [], []

    def state(self, reader, ok, why):
        self.states.append((ok, why))

    @property
    def tokens(self):
        return [b.token for b in self.badges]

    @property
    def ok(self):
        return bool(self.states) and self.states[-1][0]


@asynccontextmanager
async def borne(tmp_path, kind="pn532", **section):
    sim = SimReader(tmp_path / "sim-reader-1", kind)
    await sim.start()
    seen = Seen()
    driver = BadgeReader(
        ReaderSection(kind=kind, **section), str(tmp_path / "sim-reader-1"), seen.badges.append, seen.state
    )
    task = asyncio.create_task(driver.run())
    try:
        await until(lambda: seen.ok)
        yield sim, driver, seen
    finally:
        task.cancel()
        await asyncio.wait([task])
        await sim.close()


@pytest.mark.parametrize("uid", ["04A1B2C3", "04A1B2C3D4E5F6", "04A1B2C3D4E5F6071829"])
@pytest.mark.asyncio
async def test_a_card_arrives_as_the_hexadecimal_of_its_uid(tmp_path, uid):
    async with borne(tmp_path) as (sim, _, seen):
        sim.present(bytes.fromhex(uid))
        await until(lambda: seen.badges)
        assert seen.badges[0].token == uid
        assert seen.badges[0].uid == bytes.fromhex(uid)
        assert seen.badges[0].reader == 1


@pytest.mark.asyncio
async def test_a_card_held_while_the_reader_starts_is_read(tmp_path):
    sim = SimReader(tmp_path / "sim-reader-1")
    await sim.start()
    sim.present(b"\x01\x02\x03\x04\x05")
    await asyncio.sleep(0.6)
    seen = Seen()
    driver = BadgeReader(ReaderSection(), str(tmp_path / "sim-reader-1"), seen.badges.append, seen.state)
    task = asyncio.create_task(driver.run())
    await until(lambda: seen.tokens == ["0102030405"])
    task.cancel()
    await asyncio.wait([task])
    await sim.close()


@pytest.mark.asyncio
async def test_the_same_card_a_second_later_counts_again(tmp_path):
    async with borne(tmp_path) as (sim, _, seen):
        sim.present(b"\x01\x02\x03\x04")
        await until(lambda: seen.badges)
        await asyncio.sleep(1.0)
        sim.present(b"\x01\x02\x03\x04")
        await until(lambda: len(seen.badges) == 2)


@pytest.mark.parametrize("kind", ["rdm6300", "id12"])
@pytest.mark.asyncio
async def test_a_125_khz_tag_arrives_as_its_five_bytes(tmp_path, kind):
    async with borne(tmp_path, kind) as (sim, _, seen):
        sim.present(bytes.fromhex("0C0042A1F7"), 0.2)
        await until(lambda: seen.badges)
        assert seen.tokens == ["0C0042A1F7"]


@pytest.mark.parametrize("kind", ["sl032", "twn4"])
@pytest.mark.asyncio
async def test_readers_that_are_asked_again_and_again(tmp_path, kind):
    async with borne(tmp_path, kind) as (sim, _, seen):
        sim.present(bytes.fromhex("04A1B2C3D4E5F6"))
        await until(lambda: seen.badges)
        assert seen.tokens == ["04A1B2C3D4E5F6"]


@pytest.mark.asyncio
async def test_the_other_byte_order_can_be_configured(tmp_path):
    async with borne(tmp_path, byte_order="lsb") as (sim, _, seen):
        sim.present(bytes.fromhex("04A1B2C3"))
        await until(lambda: seen.badges)
        assert seen.tokens == ["C3B2A104"]


@pytest.mark.asyncio
async def test_a_held_card_counts_once_and_again_after_it_was_away(tmp_path):
    async with borne(tmp_path, hold_s=0.4) as (sim, _, seen):
        sim.present(b"\x01\x02\x03\x04", 0.8)
        await asyncio.sleep(1.0)
        assert seen.tokens == ["01020304"]
        await asyncio.sleep(0.4)
        sim.present(b"\x01\x02\x03\x04")
        await until(lambda: len(seen.badges) == 2)


@pytest.mark.asyncio
async def test_two_cards_one_after_the_other_both_count(tmp_path):
    async with borne(tmp_path) as (sim, _, seen):
        sim.present(b"\x01\x02\x03\x04")
        sim.present(b"\x05\x06\x07\x08")
        await until(lambda: seen.tokens == ["01020304", "05060708"])


@pytest.mark.asyncio
async def test_a_silent_reader_is_lost_and_found_again(tmp_path, monkeypatch):
    for command in pn532.ANSWER_S:
        monkeypatch.setitem(pn532.ANSWER_S, command, 0.5 if command == pn532.IN_AUTO_POLL else 0.1)
    async with borne(tmp_path) as (sim, _, seen):
        sim.silent = True
        await until(lambda: not seen.ok)
        assert "does not answer" in seen.states[-1][1]
        sim.silent = False
        await until(lambda: seen.ok)
        sim.present(b"\x01\x02\x03\x04")
        await until(lambda: seen.badges)


@pytest.mark.asyncio
async def test_noise_is_counted_and_survived(tmp_path):
    async with borne(tmp_path) as (sim, driver, seen):
        sim.noise = True
        sim.present(b"\x01\x02\x03\x04", 2.5)
        await until(lambda: seen.badges)
        assert seen.tokens == ["01020304"]
        await until(lambda: driver.malformed > 1)
        sim.present(b"\x05\x06\x07\x08")
        await until(lambda: seen.tokens == ["01020304", "05060708"])


@pytest.mark.asyncio
async def test_the_device_may_vanish_and_come_back(tmp_path):
    async with borne(tmp_path) as (sim, _, seen):
        await sim.close()
        await until(lambda: not seen.ok)
        await sim.start()
        await until(lambda: seen.ok)
        sim.present(b"\x01\x02\x03\x04")
        await until(lambda: seen.badges)


def test_an_unknown_kind_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(UnknownReader, match="pn532, rdm6300"):
        BadgeReader(ReaderSection(kind="nfc"), "x", lambda b: None, lambda *a: None)


@pytest.mark.asyncio
async def test_a_wiegand_card_arrives_from_the_kernel_s_edges(tmp_path, monkeypatch):
    """Everything but the ioctl: a pipe gives what a line request's descriptor gives."""
    asked = []
    ours, kernel = os.pipe()

    def request(chip, offsets):
        asked.append(offsets)
        return ours

    monkeypatch.setattr(gpio_edges, "request_edges", request)
    (tmp_path / "gpiochip0").write_bytes(b"")
    seen = Seen()
    driver = BadgeReader(
        ReaderSection(kind="wiegand"), f"{tmp_path / 'gpiochip0'}:14,15", seen.badges.append, seen.state
    )
    task = asyncio.create_task(driver.run())
    try:
        await until(lambda: seen.ok)
        assert asked == [(14, 15)]
        start = time.monotonic_ns()
        for n, bit in enumerate(wiegand.bits(bytes.fromhex("DEADBEEF"))):
            at = start + n * 1_500_000
            os.write(kernel, gpio_edges.EVENT.pack(at, 2, 15 if bit else 14, n + 1, n + 1))
        await until(lambda: seen.badges)
        assert seen.tokens == ["DEADBEEF"] and driver.malformed == 0
        os.close(kernel)
        await until(lambda: not seen.ok)  # the chip vanished
    finally:
        task.cancel()
        await asyncio.wait([task])


@pytest.mark.asyncio
async def test_lines_that_cannot_be_had_are_named(tmp_path):
    (tmp_path / "gpiochip0").write_bytes(b"")
    seen = Seen()
    port = f"{tmp_path / 'gpiochip0'}:14,15"
    task = asyncio.create_task(BadgeReader(ReaderSection(kind="wiegand"), port, seen.badges.append, seen.state).run())
    await until(lambda: seen.states)
    task.cancel()
    await asyncio.wait([task])
    assert not seen.ok and "gpiochip0:14,15 cannot be opened" in seen.states[-1][1]
