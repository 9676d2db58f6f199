"""What the technician brings: packages, update bundles (good, broken, wrong ones), a bundle of the borne, keys."""

import shutil
import subprocess
import sys
from pathlib import Path

from guest import CENTRAL

ROOT = Path(__file__).resolve().parents[2]
FIRST, BETTER, BROKEN = "1.0.0", "1.1.0", "1.2.0"
SERIAL = "ARD-0001"
BADGE = "04A1B2C3"
FLEET = f"""serial,commune,identity,evse_ids,supply_a,phases,sockets,meters
{SERIAL},Sedan,FR-ARD-0001,FR*ARD*E0001*1 FR*ARD*E0001*2,52,3,T2 T2,eastron-sdm630:1 eastron-sdm630:2
"""
SIMULATED = f"""
[station]
id = "FR-ARD-0001"
serial = "{SERIAL}"
language = "en"
[supply]
max_current = 52
[board]
kind = "simulated"
[[evse]]
id = 1
max_current = 32
meter = {{ model = "eastron-sdm630", unit = 1 }}
[[evse]]
id = 2
max_current = 32
meter = {{ model = "eastron-sdm630", unit = 2 }}
[ocpp]
url = "ws://{CENTRAL}"
security_profile = 0
[ocpp.configuration]
MeterValueSampleInterval = 10
RetryBackOffWaitMinimum = 1
RetryBackOffRandomRange = 1
"""
SIM_UNIT = """[Unit]
Description=Simulated borne: the electrons, which do not know that the controller was cut off
Before=chargepoint-evse.service chargepoint-station.service
RequiresMountsFor=/opt/chargepoint /etc/chargepoint
[Service]
# Electrons do not wait for a processor.
Nice=-15
User=chargepoint
Group=chargepoint
ExecStart=/usr/bin/chargepoint sim serve
ExecStartPost=/bin/sh /usr/local/lib/proof-electrons
[Install]
WantedBy=chargepoint.target
"""
ELECTRONS = """
# The register of point 1 and its car as they were, from the kernel's command line.
until [ -S /run/chargepoint/sim.sock ]; do sleep 0.2; done
for word in $(cat /proc/cmdline); do
  case $word in
    proof.energy=*) chargepoint sim set_energy 1 "${word#*=}" ;;
    proof.car=1) chargepoint sim plug 1 ;;
  esac
done
"""
SLOW_LOOP = "[Service]\nTimeoutStartSec=120\nWatchdogSec=10\n"
"""An emulated processor is ten times slower than a real one."""
SLOW = "[Service]\nTimeoutStartSec=300\nWatchdogSec=120\n"


FALLS_OVER = """

import os
import threading

_well = main


def main(*words):
    threading.Timer(60.0, os._exit, (1,)).start()
    return _well(*words)
"""
"""A station that can be used, is connected, and is gone after a minute."""


def fill(folder: Path, suite: str, arch: str = "arm64") -> None:
    """Everything below `folder`, built from the last commit."""
    keys = folder.parent / "keys"
    _chargepoint("update", "keys", str(keys))
    (folder / "trusted-keys").mkdir(parents=True)
    shutil.copy(keys / "signing.pem", folder / "trusted-keys/office.pem")
    for version in (FIRST, BETTER):
        _build(folder, suite, arch, version, keys / "signing.key")
    _break(folder, keys / "signing.key")
    (folder / "fleet.csv").write_text(FLEET)
    made = folder.parent / "fleet"
    _chargepoint(
        *("provision", "make", str(folder / "fleet.csv"), str(made), "--key", str(keys / "signing.key")),
        *("--url", "wss://csms.example/ocpp", "--operator", "Ardenne"),
    )
    shutil.copy(made / "bundles" / f"{SERIAL}.bundle", folder / "borne.bundle")
    (folder / "chargepoint.toml").write_text(SIMULATED)
    (folder / "proof-sim.service").write_text(SIM_UNIT)
    (folder / "proof-electrons").write_text(ELECTRONS)
    (folder / "simulated.conf").write_text(SLOW_LOOP)
    (folder / "emulated.conf").write_text(SLOW)


def usb(folder: Path, target: Path) -> Path:
    """What a technician has in his pocket: two updates, of which the newer one is meant."""
    target.mkdir(exist_ok=True)
    for name in (FIRST, BETTER):
        shutil.copy(folder / f"{name}.bundle", target)
    return target


def _chargepoint(*words: str) -> None:
    _run(sys.executable, "-m", "chargepoint.console.cli", *words)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)


def _build(folder: Path, suite: str, arch: str, version: str, key: Path) -> None:
    _run(
        *(sys.executable, str(ROOT / "packaging/build.py"), "--suite", suite, "--arch", arch),
        *("--version", version),
        *("--out", str(folder), "--compression", "gzip", "--key", str(key)),
    )
    stem = f"chargepoint_{version}_{suite}_{arch}"
    (folder / f"{stem}.deb").rename(folder / f"{version}.deb")
    (folder / f"{stem}.bundle").rename(folder / f"{version}.bundle")


def _break(folder: Path, key: Path) -> None:
    """A signed version whose station falls over after a minute, and three bundles that nobody may install."""
    tree = folder.parent / "broken"
    _run("dpkg-deb", "-x", str(folder / f"{BETTER}.deb"), str(tree))
    version = tree / "usr/lib/chargepoint/versions" / BETTER
    (source,) = version.glob("lib/chargepoint/__init__.py")
    source.write_text(source.read_text().replace(f'"{BETTER}"', f'"{BROKEN}"'))
    station = version / "lib/chargepoint/processes/station.py"
    station.write_text(station.read_text() + FALLS_OVER)
    _chargepoint("update", "sign", str(version), BROKEN, str(folder / f"{BROKEN}.bundle"), "--key", str(key))
    other = folder / "for-another.bundle"
    _chargepoint("update", "sign", str(version), "1.3.0", str(other), "--key", str(key), "--borne", "ARD-0002")
    whole = (folder / f"{BROKEN}.bundle").read_bytes()
    (folder / "cut-short.bundle").write_bytes(whole[: len(whole) // 2])
    middle = len(whole) // 2
    (folder / "altered.bundle").write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])


if __name__ == "__main__":
    fill(Path(sys.argv[1]), *sys.argv[2:])
