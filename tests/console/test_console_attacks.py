"""Somebody hostile at the serial line, and names from outside that would take over a terminal."""

import asyncio
import json
import random
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from console_rig import CONFIG, Rig, Terminal

from chargepoint.console import access
from chargepoint.console.access import Access, LockedOut

PIN = "481592"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A borne of which nothing runs."""
    file = tmp_path / "borne.toml"
    file.write_text(CONFIG.format(root=tmp_path, url="ws://127.0.0.1:1").replace('"fr"', '"en"'))
    (tmp_path / "run").mkdir()
    Access(tmp_path / "pin", tmp_path / "run").set_pin(PIN)
    return file


async def pipe(config: Path, text: bytes) -> bytes:
    """The console at the end of a pipe, as a script would use it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "chargepoint.console.cli", "console", "-c", str(config)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate(text)
    assert process.returncode == 0
    return out


AT_THE_CONSOLE = 500
"""Typed at two lines at once; 10,000 of them take 11 s and end the same."""


@pytest.mark.asyncio
async def test_guessing_on_two_lines_at_once_is_no_faster(config: Path) -> None:
    guess = random.Random(1)
    lines = "".join(f"login x\n{guess.randrange(10**6):06d}\n" for _ in range(AT_THE_CONSOLE // 2))
    one, two = await asyncio.gather(*[pipe(config, lines.encode()) for _ in range(2)])  # on two lines at once
    said = one + two
    looked_at, refused = said.count(b"Wrong PIN."), said.count(b"Too many wrong PINs: wait")
    assert looked_at + refused == AT_THE_CONSOLE
    assert looked_at <= access.FREE_GUESSES + 7  # 2 + 4 + ... + 64 s, should the test take two minutes


def test_tries_while_locked_out_are_told_once(tmp_path: Path) -> None:
    lock = Access(tmp_path / "pin", tmp_path, lambda: 1000.0)
    lock.set_pin(PIN)
    for _ in range(access.FREE_GUESSES):
        lock.check("000000")
    told = []
    for _ in range(50):
        with pytest.raises(LockedOut) as out:
            lock.check("000000")
        told.append(out.value.first)
    assert told == [True] + [False] * 49


@pytest.mark.asyncio
async def test_garbage_and_endless_lines_leave_the_console_at_its_prompt(config: Path) -> None:
    terminal = Terminal("console", "-c", str(config))
    await terminal.start()
    try:
        await terminal.until(lambda: terminal.raw.endswith(b"> "), "the prompt")
        noise = random.Random(2)
        controls = bytes(range(32)).translate(None, b"\x03\x04\x11\x12\x13\x16\x1a\x1c")  # those ask, or wait for more
        for _ in range(20):
            await terminal.pour(bytes(noise.choice(controls + bytes(range(32, 256))) for _ in range(200)) + b"\x07\x15")
            begin = len(terminal.raw)
            terminal.type("\r")
            await terminal.until(lambda begin=begin: terminal.raw.endswith(b"> ", begin), "the prompt")
        await terminal.pour(b"x" * 100_000 + b"\r")
        await terminal.until(lambda: b"too long" in terminal.raw[-400:], "the refusal")
        await terminal.until(lambda: terminal.raw.endswith(b"> "), "the prompt")
        assert (await terminal.command("lang fr")) == ["Français."]
    finally:
        await terminal.close()


EVIL = "\x1b[2J\x07\x9b31m\u202e"
"""Clears the screen, rings, colours in one byte, and turns what follows around."""


@pytest_asyncio.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    rig = Rig(tmp_path / "borne")
    try:
        await rig.start()
        await rig.connect()
        await rig.until_status(1, "Available")
        await rig.central.wait_connected()
        yield rig
    finally:
        await rig.close()


@pytest.mark.asyncio
async def test_names_from_outside_never_reach_the_terminal_unescaped(rig: Rig) -> None:
    token = f"A{EVIL}B"
    rig.central.tags = None  # whoever comes is welcome
    await rig.sim("plug", evse=1)
    await rig.until_status(1, "Preparing")
    await rig.central.call("RemoteStartTransaction", {"connectorId": 1, "idTag": token})
    await rig.central.call(
        "ReserveNow",
        {"connectorId": 2, "expiryDate": "2099-01-01T00:00:00Z", "idTag": token, "reservationId": 1},
    )
    await rig.central.call("DataTransfer", {"vendorId": EVIL, "messageId": EVIL, "data": EVIL * 20})
    evil = {"timestamp": "2026-01-01T00:00:00Z", "event": EVIL, EVIL: EVIL, "level": EVIL}
    with (rig.root / "run" / "station.log").open("a") as log:
        log.write(json.dumps(evil) + "\n" + EVIL + "\n")
    await rig.until_status(1, "Charging")
    Access(rig.root / "pin", rig.root / "run").set_pin(PIN)
    lines = [f"login {EVIL}", PIN, "status", "why 1", "why 2", "limits", "sessions", "sessions show 1", "ocpp"]
    lines += ["ocpp messages 200", "log", "reader", "faults history", "config show", "sessions plot 1", "day", EVIL]
    said = (await pipe(rig.config, ("\n".join(lines) + "\n").encode())).decode()
    assert "\\x1b[2J\\x07\\x9b31m\\u202e" in said
    assert [char for char in said if not char.isprintable() and char != "\n"] == []
