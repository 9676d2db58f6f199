"""The console on a real terminal: what a person types, and what somebody hostile sends."""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from console_rig import CONFIG, Terminal
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from chargepoint.console import terminal as console_terminal
from chargepoint.console.access import Access
from chargepoint.journal import store
from chargepoint.journal.journal import FILE_NAME, Journal

PROMPT, ACTING = "BORNE-1> ", "BORNE-1# "
PIN = "481592"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A borne of which nothing runs."""
    file = tmp_path / "borne.toml"
    file.write_text(CONFIG.format(root=tmp_path, url="ws://127.0.0.1:1").replace('"fr"', '"en"'))
    (tmp_path / "run").mkdir()
    Access(tmp_path / "pin", tmp_path / "run").set_pin(PIN)
    return file


@pytest_asyncio.fixture
async def terminal(config: Path) -> AsyncIterator[Terminal]:
    terminal = Terminal("console", "-c", str(config))
    await terminal.start()
    await terminal.until(lambda: terminal.raw.endswith(PROMPT.encode()), "the prompt")
    yield terminal
    await terminal.close()


@pytest.mark.asyncio
async def test_with_everything_dead_it_still_answers_and_says_so(terminal: Terminal) -> None:
    said = "\n".join(await terminal.command("status"))
    assert "The business process is not running" in said
    assert "The safety process does not answer" in said
    assert "The business process is not running" in (await terminal.command("why 1"))[0]
    assert await terminal.command("config validate")
    assert "station.run_dir" in "\n".join(await terminal.command("config diff"))


@pytest.mark.asyncio
async def test_the_first_screens_take_half_a_second_at_115200_baud(terminal: Terminal) -> None:
    for command in ("why 1", "status", "faults", "counters"):
        await terminal.command(command)
    assert len(terminal.raw) <= 115_200 / 10 / 2  # start bit, eight bits, stop bit


@pytest.mark.asyncio
async def test_after_a_clean_stop_the_journal_is_read_where_nothing_may_be_written(
    terminal: Terminal, tmp_path: Path
) -> None:
    (tmp_path / "state").mkdir()
    journal = Journal.open(tmp_path / "state" / FILE_NAME, "boot")
    journal.close()
    before = sorted((tmp_path / "state").iterdir())
    assert await terminal.command("sessions") == ["No session yet."]
    assert sorted((tmp_path / "state").iterdir()) == before


def certificate(days: int) -> str:
    """A self-signed one in PEM form, with so many days left."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"root-{days}")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now - timedelta(days=900))
    made = builder.not_valid_after(now + timedelta(days=days, hours=1)).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM).decode()


@pytest.mark.asyncio
async def test_certificates_are_told_with_their_days_left_wherever_they_came_from(
    terminal: Terminal, tmp_path: Path
) -> None:
    (tmp_path / "state").mkdir()
    journal = Journal.open(tmp_path / "state" / FILE_NAME, "boot")
    key = "-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----"
    kept = {"roots": [{"pem": certificate(41)}], "own": [{"chain": certificate(-3), "key": key}]}
    await journal.write(lambda db: [store.put(db, "certificates", name, value) for name, value in kept.items()])
    journal.close()
    said = "\n".join(await terminal.command("ocpp certificates"))
    assert "CN=root-41  41" in said
    assert "CN=root--3  -3" in said
    assert "secret" not in said


@pytest.mark.asyncio
async def test_a_command_may_be_cut_short_and_tab_completes_it(terminal: Terminal) -> None:
    assert (await terminal.command("lan fr")) == ["Français."]
    terminal.type("coun\t")
    await terminal.until(lambda: terminal.raw.endswith(b"counters "), "the completed word")
    terminal.type("\x15")
    said = await terminal.command("s")
    assert said == ["s pourrait être status, sessions, stop."]


@pytest.mark.asyncio
async def test_history_brings_a_line_back(terminal: Terminal) -> None:
    await terminal.command("lang fr")
    terminal.type("\x1b[A")
    await terminal.until(lambda: b"lang fr" in terminal.raw[-12:], "the last line again")
    terminal.type("\x15")
    assert (await terminal.command("lang en")) == ["English."]


@pytest.mark.asyncio
async def test_a_long_text_is_paged_and_q_ends_it(terminal: Terminal) -> None:
    terminal.type("help\r")
    await terminal.until(lambda: "-- more" in terminal.screen.display[-1], "the pager")
    assert "status" in terminal.screen.display[0] + terminal.screen.display[1]
    terminal.type("q")
    await terminal.until(lambda: terminal.raw.endswith(PROMPT.encode()), "the prompt again")


@pytest.mark.asyncio
async def test_actions_need_the_pin_and_the_pin_is_not_shown(terminal: Terminal) -> None:
    assert (await terminal.command("unlock 1")) == ["That needs the PIN: login first."]
    terminal.type("login Jeanne\r")
    await terminal.until(lambda: terminal.raw.endswith(b"PIN: "), "the question")
    terminal.type(PIN + "\r")
    await terminal.until(lambda: terminal.raw.endswith(ACTING.encode()), "the prompt of who may act")
    assert PIN.encode() not in terminal.raw
    said = await terminal.command("unlock 1", ACTING)
    assert "The business process is not running" in said[0]
    assert (await terminal.command("logout"))[0].startswith("Only looking")


@pytest.mark.asyncio
async def test_guessing_is_answered_with_waiting(terminal: Terminal) -> None:
    for _ in range(4):
        terminal.type("login x\r")
        await terminal.until(lambda: terminal.raw.endswith(b"PIN: "), "the question")
        begin = len(terminal.raw)
        terminal.type("000000\r")
        await terminal.until(lambda begin=begin: terminal.raw.endswith(PROMPT.encode(), begin), "the prompt")
    assert b"Too many wrong PINs: wait" in terminal.raw


NOISE = (bytes(range(128, 256)) * 4, b"\xff\xfe\x00garbage", b"\x1b[31m\x1b]0;owned\x07", b"'unbalanced \"", b"9" * 500)


@pytest.mark.asyncio
async def test_noise_is_refused_and_the_console_lives_on(terminal: Terminal) -> None:
    for noise in NOISE:
        terminal.type(noise)
        terminal.type("\x15")
        begin = len(terminal.raw)
        terminal.type("\r")
        await terminal.until(lambda begin=begin: terminal.raw.endswith(PROMPT.encode(), begin), "the prompt")
        assert (await terminal.command("lang en"))[-1] == "English."


async def pipe(config: Path, text: bytes) -> tuple[int, bytes]:
    """The console at the end of a pipe, as a script would use it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "chargepoint.console.cli", "console", "-c", str(config)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate(text)
    assert process.returncode is not None
    return process.returncode, out


@pytest.mark.asyncio
async def test_a_line_of_a_megabyte_is_refused_and_the_next_one_understood(config: Path) -> None:
    status, out = await pipe(config, b"x" * 1_000_000 + b"\nlang fr\n")
    assert status == 0
    assert out.count(b"too long") == 1
    assert out.decode().splitlines()[-1] == "Français."


@pytest.mark.asyncio
async def test_nothing_from_outside_reaches_the_terminal_unescaped(config: Path, tmp_path: Path) -> None:
    evil = {"timestamp": "2026-01-01T00:00:00Z", "event": "badge\x1b[2J", "token": "\x1b]0;x\x07"}
    (tmp_path / "run" / "station.log").write_text(json.dumps(evil) + "\n\x1b[31mnot json\n")
    _, out = await pipe(config, b"log\n\x1b[2J\nwhy \x1b[31m1\n")
    assert b"\x1b" not in out
    assert b"badge\\x1b[2J" in out
    assert b"not json" in out


@pytest.mark.asyncio
async def test_a_dumb_terminal_gets_no_escape_sequences(config: Path) -> None:
    terminal = Terminal("console", "-c", str(config), term="dumb")
    await terminal.start()
    await terminal.until(lambda: terminal.raw.endswith(PROMPT.encode()), "the prompt")
    await terminal.command("lang fr")
    await terminal.command("faults")
    assert b"\x1b" not in terminal.raw
    await terminal.close()


def event(number: int, **rest: object) -> str:
    return json.dumps({"timestamp": f"2026-01-01T00:00:{number:02}.000Z", "level": "info", "event": "e", **rest}) + "\n"


@pytest.mark.asyncio
async def test_the_log_is_followed_by_point_severity_and_session_until_a_key(
    terminal: Terminal, tmp_path: Path
) -> None:
    file = tmp_path / "run" / "station.log"
    file.write_text(event(1, event="old", evse=1) + event(2, event="other point", evse=2))
    terminal.type("log -f info 1 tx=7\r")
    await asyncio.sleep(0.6)
    with file.open("a") as log:
        log.write(event(3, event="mine", evse=1, tx=7) + event(4, event="another session", evse=1, tx=8))
        log.write(event(5, event="chatter", evse=1, tx=7, level="debug"))
    await terminal.until(lambda: b"mine evse=1 tx=7" in terminal.raw, "the new line")
    terminal.type("q")
    await terminal.until(lambda: terminal.raw.endswith(PROMPT.encode()), "the prompt")
    for unwanted in (b"old", b"other point", b"another session", b"chatter"):
        assert unwanted not in terminal.raw


@pytest.mark.asyncio
async def test_a_live_screen_is_drawn_anew_in_place_and_any_key_or_ctrl_c_ends_it(terminal: Terminal) -> None:
    for key in ("q", "\x03"):
        begin = len(terminal.raw)
        terminal.type("status -w\r")
        await terminal.until(lambda begin=begin: terminal.raw.count(b"\x1b[H\x1b[2J", begin) >= 2, "the second screen")
        says = "The business process is not running"
        await terminal.until(lambda says=says: terminal.screen.display[0].startswith(says), "what it says")
        terminal.type(key)
        await terminal.until(lambda: terminal.raw.endswith(PROMPT.encode()), "the prompt")


def test_a_key_typed_between_two_looks_of_a_live_screen_counts() -> None:
    master, slave = os.openpty()
    with os.fdopen(slave, "r") as keys, os.fdopen(os.dup(slave), "w") as screen:
        terminal = console_terminal.Terminal(keys, screen)
        assert not terminal.pressed(0)
        os.write(master, b"q")
        time.sleep(0.05)  # the line discipline takes it
        assert terminal.pressed(5)
        assert not terminal.pressed(0)
    os.close(master)
