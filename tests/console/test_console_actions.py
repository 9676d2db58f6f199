"""Acting from the console on a borne that runs: each action is done, and entered with its author."""

import asyncio
import sys
import tarfile
from html.parser import HTMLParser
from pathlib import Path

import pytest
from console_rig import GOOD_BADGES, Rig

from chargepoint.console.access import Access
from chargepoint.console.bundle import throttling
from chargepoint.jsonrpc import RpcError

PIN = "481592"


async def console(rig: Rig, *lines: str) -> str:
    """What the console says to these lines at the end of a pipe."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "chargepoint.console.cli", "console", "-c", str(rig.config)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate("\n".join(["lang en", *lines, ""]).encode())
    assert process.returncode == 0
    return out.decode()


@pytest.mark.asyncio
async def test_a_technician_works_on_a_borne(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "borne")
    try:
        await rig.start()
        await rig.connect()
        await rig.until_status(1, "Available")
        await rig.central.wait_connected()
        Access(rig.root / "pin", rig.root / "run").set_pin(PIN)
        await looks(rig)
        await draws(rig)
        await acts(rig)
        await takes_the_evidence_home(rig)
        await starts_it_again(rig)
    finally:
        await rig.close()


async def looks(rig: Rig) -> None:
    await rig.sim("plug", evse=2)
    await rig.until_status(2, "Preparing")
    await rig.sim("badge", uid=GOOD_BADGES[2])
    await rig.until_status(2, "Charging")
    said = await console(
        *(rig, "status", "limits 2", "meters", "meters registers 2", "meters frames 4", "meters scan 1-2", "reader"),
        *("ocpp messages 5", "sessions", "trace 2 0.4", "unlock 2"),
    )
    assert "Charging" in said
    assert "04**********66" in said
    assert GOOD_BADGES[2] not in said
    assert "model: eastron-sdm630" in said
    assert "voltage_l1     0x0000    f32   230 V" in said, said
    assert " s -> 02 04 00 " in said or " s -> 01 04 00 " in said
    assert said.count("That needs the PIN: login first.") == 2
    assert '"StatusNotification"' in said or '"MeterValues"' in said or '"StartTransaction"' in said
    assert "C2" in said
    assert said.rstrip().endswith("That needs the PIN: login first.")
    await rig.clear(2)


async def draws(rig: Rig) -> None:
    page, pixels, whole = rig.root / "session.svg", rig.root / "session.png", rig.root / "day.svg"
    said = await console(
        rig, "sessions show 1", f"sessions plot 1 {page} {pixels}", f"day {whole}", "day 2001-01-01", "log tx=1"
    )
    assert "still open" in said
    for track in ("pilot (V)", "duty (%)", "current (A)", "power (kW)", "energy (Wh)", "temperature (°C)"):
        assert track in said, said
        assert track in page.read_text()
    assert "Charging" in page.read_text()
    assert pixels.read_bytes().startswith(b"\x89PNG")
    assert "waits for current" in said
    assert "point 2 (A)" in whole.read_text()
    assert "Nothing is kept of that day." in said
    assert "session begun" in said
    french = await console(rig, "lang fr", "limits 2", f"login {PIN}", PIN, "test rcd 2", "stop 9", "faults ack 1 x")
    assert "la prise est prévue pour 32 A" in french
    assert "le point est en service : retirez-le d'abord" in french
    assert "aucun défaut 'x' actif à ce point" in french


async def acts(rig: Rig) -> None:
    said = await console(
        *(rig, "login Jeanne Petit", PIN, "test lock 1", "availability 1 off", "why 1", "test all 1", "yes"),
        *("test lamps 1", "no", "availability 1 on", "test reader", "test meter", "test modem"),
        *("level debug 1", "level verbose", "ocpp disconnect", "ocpp connect", "unlock 1", "stop 1"),
    )
    assert "the point is in service: take it out first with `availability 1 off`" in said
    assert "out of service by order" in said
    for measured in (
        "PASSED: 30 mA device tripped after ",
        "PASSED: lock: closed after ",
        "PASSED: contactor: mirror contact and load side tell that it is open",
        "PASSED: pilot: 10.",
        "PASSED: all colours seen",
        "FAILED: not all colours seen",
        "reader 1: PASSED: answers",
        "meter 2: PASSED: last answer ",
        "central system: PASSED: connected",
        "For 1 minutes.",
        "refused: there is nothing to do at this point now",
    ):
        assert measured in said, said
    history = await console(rig, "faults history")
    for action in ("self-test lock", "availability off", "availability on"):
        assert any(action in line and "Jeanne Petit" in line for line in history.splitlines()), history


async def starts_it_again(rig: Rig) -> None:
    started = (await rig.ask("status"))["started"]
    assert "Not done." in await console(rig, "login J", PIN, "reboot", "no")
    assert "It starts again." in await console(rig, "login J", PIN, "reboot", "yes")

    async def anew() -> bool:
        try:
            await rig.connect()
            return (await rig.ask("status"))["started"] != started
        except (OSError, RpcError):
            return False

    await rig.until(anew, "the station started again")
    assert any("reboot" in line and "J (" in line for line in (await console(rig, "faults history")).splitlines())


async def takes_the_evidence_home(rig: Rig) -> None:
    away = rig.root / "stick"
    away.mkdir()
    said = await console(rig, "login J", PIN, f"bundle {away}", f"commission {away}", "", "yes", "no")
    assert "point 1, self-test rcd: " in said
    assert "2 of " in said, said  # nobody held a badge, and a lamp was not seen
    assert [(await rig.evse(number))["operative"] for number in (1, 2)] == [True, True]
    bundle, report = next(away.glob("*.tar.gz")), next(away.glob("*.html"))
    with tarfile.open(bundle) as archive:
        texts = {member.name: archive.extractfile(member) for member in archive.getmembers()}
        whole = b"".join(file.read() for file in texts.values() if file is not None)
    assert {"history.json", "messages.json", "meter-frames.json", "evse.json"} <= set(texts)
    assert throttling("0x50005") == [
        *("under-voltage now", "throttled now", "under-voltage since the start", "throttled since the start")
    ]
    assert {"versions.json", "chargepoint.toml", "status.json", "sessions.json", "log.jsonl", "system.json"} <= set(
        texts
    )
    assert GOOD_BADGES[2].encode() not in whole
    assert b"could not be read" not in whole
    page = report.read_text()
    HTMLParser().feed(page)
    assert "pilot without a car" in page
    assert 'class="bad"' in page


@pytest.mark.asyncio
async def test_a_meter_gets_another_unit_number_after_a_question_and_no_two_get_the_same(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "borne")
    try:
        await rig.start("sim serve")  # the station is stopped: a bus has one master
        Access(rig.root / "pin", rig.root / "run").set_pin(PIN)
        said = await console(rig, "login J", PIN, "meters scan 1-3", "meters address 2 1", "meters address 9 7")
        assert said.count("Eastron SDM630") == 2, said
        assert "unit 1 answers already" in said
        assert "unit 9 does not answer as a known meter" in said
        said = await console(rig, "login J", PIN, "meters address 2 7", "no", "meters address 2 7", "yes")
        assert "Unit 2 is a Eastron SDM630" in said
        assert "Not done." in said
        assert "It answers as unit 7. Write that into the configuration." in said, said
        said = await console(rig, "login J", PIN, "meters scan 7", "meters scan 2")
        assert "unit 7: Eastron SDM630" in said
        assert "Nothing answers." in said
    finally:
        await rig.close()
