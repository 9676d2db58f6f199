"""A station that falls over at every start: after a few of them it rests in safe mode, tells why, and heals."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from harness import Borne, RpcError

from chargepoint.sim.central_system import CentralSystem

BROKEN = '''
import pathlib, sys

class Broken:
    """A file of the program that the disk has damaged, as long as the flag is there."""

    def find_spec(self, name, path=None, target=None):
        if name == "chargepoint.ocpp.v16.backend" and pathlib.Path({flag!r}).exists():
            raise SyntaxError("null bytes in backend.py")

sys.meta_path.insert(0, Broken())
'''


def ask(borne: Borne, *words: str) -> str:
    command = [sys.executable, "-m", "chargepoint.console.cli", *words, "-c", str(borne.config)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30).stdout


def test_a_station_that_crashes_at_start_rests_in_safe_mode_tells_why_and_comes_back(
    tmp_path: Path, monkeypatch: object
) -> None:
    flag = tmp_path / "broken"
    flag.touch()
    (tmp_path / "sitecustomize.py").write_text(BROKEN.format(flag=str(flag)))

    async def play() -> None:
        async with CentralSystem(tags=["04A1B2C3"]) as central:
            borne = Borne(central.url, edit=lambda text: text.replace("safe_after = 0", "safe_after = 2"))
            try:
                await borne.spawn("run")
                await borne.until(borne.answers, 40, "the safe mode to answer")
                status = await borne.status()
                assert status["safe_mode"]["reason"] == "SyntaxError: null bytes in backend.py"
                assert status["safe_mode"]["ends"] == 2
                assert [f["name"] for f in status["faults"]] == ["safe-mode"]
                assert {e["status"] for e in status["evses"]} == {"Unavailable"}
                why = await borne.station("why", evse=1, lang="fr")
                assert "mode sûr" in why and "null bytes in backend.py" in why
                shown, said = await asyncio.gather(
                    asyncio.to_thread(ask, borne, "status"), asyncio.to_thread(ask, borne, "why", "2", "--lang", "en")
                )
                assert "safe-mode" in shown and "null bytes" in " ".join(shown.split()) and "safe mode" in said
                assert json.loads(await asyncio.to_thread(ask, borne, "status", "--json"))["safe_mode"]["ends"] == 2
                await no_car_is_charged_and_none_is_held(borne)
                flag.unlink()
                await borne.station("reset")
                await borne.until(lambda: whole(borne), 40, "the whole station to come back")
                await central.wait_connected()
            finally:
                await borne.stop()
                borne.remove()

    monkeypatch.setenv("PYTHONPATH", str(tmp_path))  # type: ignore[attr-defined]
    asyncio.run(play())


async def no_car_is_charged_and_none_is_held(borne: Borne) -> None:
    await borne.sim("plug", evse=1)
    await borne.sim("badge", uid="04A1B2C3")

    async def seen() -> bool:
        return bool((await borne.evse(1))["plugged"])

    await borne.until(seen, 5, "the plug to be seen")
    await asyncio.sleep(1.0)
    assert not (await borne.wires(1))["contactor"]["commanded"]
    await borne.sim("unplug", evse=1)


async def whole(borne: Borne) -> bool:
    try:
        return "safe_mode" not in await borne.status()
    except (OSError, RpcError, TimeoutError):
        return False
