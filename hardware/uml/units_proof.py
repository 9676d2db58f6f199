"""The installed units under systemd: runs inside the machine, prints PROVED and FAILED lines."""

import json
import os
import shutil
import signal
import subprocess
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

RUN = Path("/run/chargepoint")
DATA = Path("/srv/chargepoint-data")
POLL_S = 1.0
"""Each look starts a program, which costs this machine a good part of a second."""


def shell(*command: str, timeout: float = 60) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout)
    return (done.stdout + done.stderr).strip()


def show(unit: str, name: str) -> str:
    return shell("systemctl", "show", "--value", "-p", name, unit)


def until(holds: Callable[[], object], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(POLL_S)


def expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise AssertionError(otherwise)


def status() -> dict[str, Any]:
    try:
        answer: dict[str, Any] = json.loads(shell("chargepoint", "status", "--json"))
    except ValueError:
        return {}
    return answer


def both_services_become_ready_in_their_sandboxes() -> None:
    for unit in ("chargepoint-evse", "chargepoint-station"):
        until(lambda u=unit: show(u, "ActiveState") == "active", 90, f"{unit}: {show(unit, 'Result')}")
    until(lambda: status().get("evses"), 60, "the station answers")


def the_sandboxes_let_through_what_is_needed_and_nothing_else() -> None:
    shutil.copy("/root/probe.py", "/run/probe.py")
    os.chmod("/run/probe.py", 0o644)  # noqa: PTH101
    needed = {"unix socket", "write state", "write run", "read configuration"}
    may = {"evse": needed | {"real-time", "writable code"}, "station": needed | {"boot id"}}
    for unit, wanted in may.items():
        said = shell("systemctl", "start", f"probe-{unit}.service")
        found = json.loads((RUN / f"probe-{unit}.json").read_text())
        can = {name for name, answer in found.items() if answer == "yes"}
        expect(can == wanted, f"{unit} can also {can - wanted}, cannot {wanted - can}; {found} {said}")


def a_car_is_charged() -> None:
    # A host that leaves this machine alone for 250 ms makes its safety loop late: a fault of 60 s, with the contactor
    # open for 30 s more.
    until(lambda: status().get("evses", [{}])[0].get("status") == "Available", 120, "point 1 can be used")
    shell("chargepoint", "sim", "plug", "1")
    said = shell("chargepoint", "sim", "wait", "1", "--contactor", "true", "--timeout", "120", timeout=130)
    shown = json.loads(shell("chargepoint", "sim", "show"))
    expect(shown["evses"][0]["contactor"]["real"] is True, said)
    until(lambda: status()["evses"][0]["transaction"] is not None, 30, "a transaction is shown")


def the_technicians_user_sees_what_the_other_two_leave() -> None:
    limits = ("User=chargepoint-console", "Group=chargepoint", "UMask=0077", "ReadOnlyPaths=/var/lib/chargepoint")
    properties = [word for limit in limits for word in ("-p", limit)]
    until(Path("/var/lib/chargepoint/evse.json").exists, 60, "the safety process has kept its counters")
    left = "/run/chargepoint/station.log /run/chargepoint/evse.log /var/lib/chargepoint/evse.json"
    asked = f"cat {left} >/dev/null && echo sessions | chargepoint console"
    said = shell("systemd-run", "--quiet", "--pipe", "--wait", *properties, "sh", "-c", asked, timeout=120)
    expect("charging" in said and "ermission" not in said, f"it does not see the session: {said}")


def fstab(*, there: bool) -> None:
    """The mounts of a read-only root, as its script writes them; the partition's own line only when it is not there."""
    script = Path("/usr/share/chargepoint/pi/read-only-root").read_text()
    lines = script.partition("<<FSTAB\n")[2].partition("FSTAB\n")[0].replace("$at", str(DATA)).splitlines(keepends=True)
    lines[0] = lines[0].replace("nofail", "nofail,x-systemd.device-timeout=5s")
    Path("/etc/fstab").write_text("".join(lines[there:]))
    shell("systemctl", "daemon-reload")


def without_its_data_partition_neither_process_starts_and_with_it_both_do() -> None:
    units = ("chargepoint-evse", "chargepoint-station")
    folders = {"lib": "/var/lib/chargepoint", "opt": "/opt/chargepoint", "etc": "/etc/chargepoint"}
    shell("systemctl", "stop", *units)
    fstab(there=False)
    said = shell("systemctl", "start", *units)
    expect("ependency" in said, said)
    expect(all(show(unit, "MainPID") == "0" for unit in units), "a process runs without its data")
    DATA.mkdir(parents=True, exist_ok=True)
    for name, folder in folders.items():
        shell("cp", "-a", folder, str(DATA / name))
    fstab(there=True)
    shell("systemctl", "start", *units, timeout=120)
    both_services_become_ready_in_their_sandboxes()
    # Not is_mount: both sides of these are on one file system.
    beside = [folder for folder in folders.values() if "is a mountpoint" not in shell("mountpoint", folder)]
    expect(not beside, f"they run beside their data: {beside}")


def a_hung_safety_process_is_bitten_by_the_watchdog() -> None:
    before = int(show("chargepoint-evse", "MainPID"))
    os.kill(before, signal.SIGSTOP)
    until(lambda: show("chargepoint-evse", "MainPID") not in (str(before), "0"), 30, "it was killed and started again")
    until(lambda: show("chargepoint-evse", "ActiveState") == "active", 60, "it is ready again")
    expect(int(show("chargepoint-evse", "NRestarts")) >= 1, "a restart is counted")


def a_crash_loop_ends_in_safe_mode() -> None:
    folder = Path("/etc/systemd/system/chargepoint-evse.service.d")
    folder.mkdir(exist_ok=True)
    # Ten falls within a minute take a minute and more on a loaded host: the count is the unit's own, the time is not.
    broken = "[Unit]\nStartLimitIntervalSec=600\n[Service]\nType=simple\nExecStart=\nExecStart=/bin/false\n"
    (folder / "broken.conf").write_text(broken)
    shell("systemctl", "daemon-reload")
    shell("systemctl", "restart", "--no-block", "chargepoint-evse")
    until(lambda: show("chargepoint-evse", "ActiveState") == "failed", 400, "it gives up")
    expect(int(show("chargepoint-evse", "NRestarts")) <= 10, "it was started more often than the unit allows")
    until(lambda: show("chargepoint-safe@chargepoint-evse", "ActiveState") == "activating", 60, "safe mode")


def prove(*claims: Callable[[], None]) -> None:
    """Every claim in turn, whatever became of the one before."""
    for claim in claims:
        began = time.monotonic()
        try:
            claim()
        except Exception:  # noqa: BLE001  # every claim is tried, whatever the one before did
            print(f"FAILED {claim.__name__}\n{traceback.format_exc()}", flush=True)
            print(shell("journalctl", "-b", "--no-pager", "-n", "30"), flush=True)
        else:
            print(f"PROVED {claim.__name__} ({time.monotonic() - began:.0f} s)", flush=True)
    print("EXIT", flush=True)


if __name__ == "__main__":
    prove(
        both_services_become_ready_in_their_sandboxes,
        the_sandboxes_let_through_what_is_needed_and_nothing_else,
        a_car_is_charged,
        the_technicians_user_sees_what_the_other_two_leave,
        without_its_data_partition_neither_process_starts_and_with_it_both_do,
        a_hung_safety_process_is_bitten_by_the_watchdog,
        a_crash_loop_ends_in_safe_mode,
    )
