"""A whole machine: Debian for arm64 in qemu, from a blank card to an update that was taken back.

    packaging/machine/run [--suite bookworm] [--keep FOLDER [--again CLAIM]] [--until CLAIM]

Each claim is tried in turn on the same card; PROVED or FAILED is printed for each, with its time. The central system
runs here, outside the machine, and keeps its own account. Where qemu is absent it says so and ends with status 0.
A kept folder has the card as it was before each claim: `--again` goes on from there, with an account that begins there.
"""

import argparse
import asyncio
import http.server
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import guest
import image
import stick
from guest import FILES, PATIENCE_S, Machine, MachineError
from image import ImageError
from technician import Technician

from chargepoint.sim.central_system import CentralSystem, Transaction

COUNT = """/usr/bin/python3 -c 'import sqlite3; db = sqlite3.connect("/var/lib/chargepoint/chargepoint.db")
print(db.execute("SELECT count(*) FROM tx").fetchone()[0])'"""
CLOSED: tuple[str, dict[str, object]] = ("wait", {"evse": 1, "contactor": True, "timeout": 180})
"""Until the contactor of point 1 is closed."""
LONG_S = 1200.0
"""For what unpacks and compiles a version, or waits for its trial."""
TRIES = 5
"""For what the console waits for as long as a real borne would need."""
SPEED = 60
"""How much faster energy accumulates than in real life."""


class Proof:
    """One card, and what is done with it."""

    def __init__(self, made: image.Image, folder: Path, central: CentralSystem, files_port: int) -> None:
        self.image = made
        self.folder = folder
        self.central = central
        self.files_port = files_port
        self.disk = folder / "card.qcow2"
        self.data = folder / "data.qcow2"
        self.registers = folder / "registers.json"
        self.starts: list[float] = []
        self.energy = 0.0
        """Wh: the meter is not switched off with the controller, so its register outlives every start."""
        self.first_energy = 0.0

    def machine(self, words: str = "", usb: Path | None = None) -> Machine:
        words = f"proof.energy={self.energy:.0f} {words}"
        ports = (self.central.port, self.files_port)
        return Machine(self.image, self.disk, self.folder / "stick.img", ports, words, self.data, usb)

    @asynccontextmanager
    async def attended(self) -> AsyncIterator[tuple[Machine, Technician]]:
        """The machine, and a technician logged in at its console, with a USB stick in its port."""
        image = self.folder / "usb.img"
        guest.make_stick(stick.usb(self.folder / "stick", self.folder / "usb"), image)
        async with self.machine(usb=image) as m:
            await self.connected(m)
            await self.named(m)
            async with Technician(m.terminal) as technician:
                await technician.logs_in(self.folder / "fleet/secrets.csv")
                yield m, technician

    async def named(self, m: Machine) -> None:
        """The USB adapters have their names and their group, and the console has started at its one."""
        for command, what in (
            ("systemctl is-active 'chargepoint-console@ttyUSB*'", "the console runs at its adapter"),
            ('[ "$(stty -F /dev/chargepoint-console speed)" = 115200 ]', "it has set the line's speed"),
        ):
            await m.until(partial(unfailing, m, command), PATIENCE_S, what)
        said = await m.do("stat -L -c '%G %a' /dev/chargepoint-meters")
        expect(said.split() == ["chargepoint-serial", "660"], said)

    def blank(self) -> None:
        """A new card, and a disk for the data."""
        guest.new_disk(self.image, self.disk)
        guest.new_data(self.data, "512M")
        self.registers.write_text("{}")

    def mark(self, claim: str) -> None:
        """Keep card, data and register as they are before the claim."""
        guest.mark(claim, self.disk, self.data)
        self.registers.write_text(json.dumps({**json.loads(self.registers.read_text()), claim: self.energy}))

    def back(self, claim: str) -> None:
        """Card, data and register as they were before the claim."""
        guest.back(claim, self.disk, self.data)
        self.energy = self.first_energy = json.loads(self.registers.read_text())[claim]
        self.central.first_transaction_id = 1000  # not one of those that the card knows

    # What is asked again and again

    async def connected(self, m: Machine, version: str = "") -> None:
        """Each question starts a Python in the machine, which takes time from what is waited for: first look here."""

        async def there() -> bool:
            if not self.central.connections:
                return False
            status = await m.status()
            if not version or status.get("version") == version:
                return bool(status.get("ocpp", {}).get("connected"))
            await asyncio.sleep(5)
            return False

        await m.until(there, PATIENCE_S, f"the station {version} answers and its central system is connected")

    async def begin(self, m: Machine) -> Transaction:
        """A car comes and somebody shows a badge; not before the point can be used, for a host that leaves this machine
        alone for 250 ms makes its safety loop late: a fault of 60 s."""

        async def free() -> bool:
            return bool((await m.status())["evses"][0]["status"] == "Available")

        await m.until(free, PATIENCE_S, "point 1 can be used")
        known = len(self.central.transactions)
        await m.call("sim.sock", ("speed", {"factor": SPEED}), ("plug", {"evse": 1}), ("badge", {"uid": stick.BADGE}))
        await self.central.wait_until(lambda: len(self.central.transactions) > known, PATIENCE_S)
        await m.call("sim.sock", CLOSED)
        transaction = self.central.transactions[-1]
        await self.central.wait_until(lambda: len(transaction.meter_values) >= 2, PATIENCE_S)
        return transaction

    async def register(self, m: Machine) -> float:
        """Wh, as the meter itself has it."""
        shown = await m.call("sim.sock", ("show", {}))
        self.energy = float(shown["evses"][0]["energy"])
        return self.energy

    async def end(self, m: Machine, transaction: Transaction) -> None:
        await m.call("sim.sock", ("badge", {"uid": stick.BADGE}))
        await self.central.wait_until(lambda: transaction.meter_stop is not None, PATIENCE_S)
        bill, register = transaction.meter_stop, await self.register(m)
        expect(bill is not None and abs(bill - register) <= 1, f"billed to {bill} Wh; the register is {register}")
        await m.call("sim.sock", ("unplug", {"evse": 1}))

    async def version(self, m: Machine) -> str:
        return str((await m.status()).get("version", ""))

    # The claims

    async def the_package_installs_on_a_blank_card(self) -> None:
        async with self.machine() as m:
            self.starts.append(m.up_after_s)
            await m.do("mkdir -p /media/usb && mount -o ro /dev/vdb /media/usb")
            await m.do(f"dpkg -i /media/usb/{stick.FIRST}.deb", LONG_S)
            said = await m.do("chargepoint --version; systemctl is-enabled chargepoint.target")
            expect(stick.FIRST in said and "enabled" in said, said)
            await m.do("sync")

    async def a_bornes_bundle_is_applied_from_a_stick(self) -> None:
        async with self.machine() as m:
            await m.do("mkdir -p /media/usb && mount -o ro /dev/vdb /media/usb")
            status, said = await m.attempt("chargepoint provision apply /media/usb/borne.bundle")
            expect(status == 1, f"a bundle without a trusted key was not refused: {said}")
            await m.do("cp /media/usb/trusted-keys/* /etc/chargepoint/trusted-keys/")
            await m.do("chargepoint provision apply /media/usb/borne.bundle && chargepoint check")
            # From here on the borne is a simulated one: there are no pins in this machine.
            await m.do(
                "cp /media/usb/chargepoint.toml /etc/chargepoint/"
                " && cp /media/usb/proof-sim.service /etc/systemd/system/"
                " && cp /media/usb/proof-electrons /usr/local/lib/"
                " && mkdir -p /etc/systemd/system/chargepoint-evse.service.d"
                " && cp /media/usb/simulated.conf /etc/systemd/system/chargepoint-evse.service.d/"
                " && mkdir -p /etc/systemd/system/chargepoint-station.service.d"
                " && cp /media/usb/emulated.conf /etc/systemd/system/chargepoint-station.service.d/"
                " && systemctl enable proof-sim.service && sync"
            )

    async def the_target_starts_with_the_machine_and_a_car_is_charged(self) -> None:
        async with self.machine() as m:
            self.starts.append(m.up_after_s)
            await self.connected(m)
            await self.end(m, await self.begin(m))
            await m.do("sync")

    async def a_machine_cut_off_in_mid_session_goes_on_with_it(self) -> None:
        async with self.machine() as m:
            await self.connected(m)
            transaction = await self.begin(m)
            await self.register(m)
        async with self.machine("proof.car=1") as m:
            self.starts.append(m.up_after_s)
            await self.connected(m)
            await m.call("sim.sock", ("speed", {"factor": SPEED}), CLOSED)
            known = len(self.central.transactions)
            expect(self.central.transactions[-1] is transaction, "the session began anew")
            await self.end(m, transaction)
            expect(len(self.central.transactions) == known, "a second transaction was made of one session")

    async def a_car_that_left_while_the_machine_was_off_is_billed_to_the_register(self) -> None:
        async with self.machine() as m:
            await self.connected(m)
            transaction = await self.begin(m)
            register = await self.register(m)
        async with self.machine() as m:
            await self.connected(m)
            await self.central.wait_until(lambda: transaction.meter_stop is not None, PATIENCE_S)
            bill = transaction.meter_stop
            expect(bill is not None and abs(bill - register) <= 1, f"billed to {bill} Wh; the register is {register}")
            expect(transaction.reason == "PowerLoss", f"the reason is {transaction.reason}")

    async def a_technician_installs_a_signed_update_from_a_usb_stick_and_it_stays(self) -> None:
        """By the units alone: the console is not root, the stick is not mounted."""
        async with self.attended() as (m, technician):
            # The console waits for 20 s, in which an emulated processor may only just have started the unit's program.
            for _ in range(TRIES):
                said = await technician.types("update stick", "Type yes: ", "(by hand", "no USB stick")
                if "Type yes" in said:
                    break
            _, log = await m.attempt("journalctl -b -q -o short-monotonic -u 'chargepoint-errands*'")
            expect(f"version {stick.BETTER}, signed by a trusted key" in said, f"{said}\n{log}")
            mounted = await m.do("findmnt -no SOURCE,OPTIONS /run/chargepoint-stick")
            expect(mounted.startswith("/dev/sda ro,nosuid,nodev,noexec"), mounted)
            said = await technician.types(
                "yes", "it is well and stays", "FAILED", "REFUSED", "no program", seconds=LONG_S
            )
            expect("it is well and stays" in said, said)
            expect(await self.version(m) == stick.BETTER, "the station is another version")
            await self.end(m, await self.begin(m))
            await m.do("sync")

    async def a_technician_takes_the_archive_for_support_along_on_the_stick(self) -> None:
        async with self.attended() as (m, technician):
            for _ in range(TRIES):
                said = await technician.types("bundle stick", "may be pulled", "Type yes: ", seconds=LONG_S)
                if "may be pulled" in said:
                    break
                await technician.types("no", "Written to")
            _, log = await m.attempt("journalctl -b -q -o short-monotonic -u 'chargepoint-errands*'")
            expect("is on USB stick /dev/sda, which may be pulled" in said, f"{said}\n{log}")
            expect((await m.attempt("findmnt /dev/sda"))[0] == 1, "the stick is still mounted")
            await m.do("mkdir -p /media/usb && mount -o ro /dev/sda /media/usb")
            listed = await m.do("tar -tzf /media/usb/*.tar.gz && ls /media/usb/*.tar.gz")
            for part in ("log.jsonl", "sessions.json", "chargepoint.toml", "ARD-0001"):
                expect(part in listed, f"{part} is not in it: {listed}")
            log = await m.do("tar -xzOf /media/usb/*.tar.gz log.jsonl | head -c 300; umount /media/usb")
            expect("timestamp" in log, f"it holds no log: {log}")
            left = await m.do("ls /run/chargepoint")
            expect("outgoing" not in left, f"left behind: {left}")
            warned = await m.do("journalctl -q -o cat -p warning -u chargepoint-station -u chargepoint-evse")
            expect("timestamp" in warned, "no line of the journal is a warning")
            expect('"level": "info"' not in warned and '"level":"info"' not in warned, warned[:500])

    async def the_console_starts_a_borne_again_whose_station_is_dead(self) -> None:
        async with self.attended() as (m, technician):
            await m.do("systemctl stop chargepoint-station")
            before = await m.do("systemctl show --value -p MainPID chargepoint-evse")
            for _ in range(TRIES):  # it waits for 10 s
                await technician.types("reboot", "Type yes: ")
                said = await technician.types("yes", "It starts again.", "Nobody took the order")
                if "It starts again." in said:
                    break
            expect("It starts again." in said, said)
            await self.connected(m)
            after = await m.do("systemctl show --value -p MainPID chargepoint-evse")
            expect(before != after, "the safety process was not started again")

    async def what_nobody_signed_for_this_borne_is_refused(self) -> None:
        async with self.machine() as m:
            await self.connected(m)
            await m.do("mount -o ro /dev/vdb /media/usb")
            for name, word in (
                ("altered", ""),
                ("cut-short", "cut short"),
                ("for-another", "ARD-0002"),
                (stick.FIRST, "older"),
            ):
                status, said = await m.attempt(f"chargepoint update install /media/usb/{name}.bundle")
                expect(status == 1 and word in said and "Traceback" not in said, f"{name}: {status} {said}")
                print(f"    {name}: {said.strip().splitlines()[-1]}")
            expect(await self.version(m) == stick.BETTER, "the version changed")

    async def a_broken_update_is_taken_back_and_every_transaction_kept(self) -> None:
        """The operator orders it; it is well at first, and its station falls over after a minute."""
        async with self.machine() as m:
            await self.connected(m)
            order = {"location": f"http://{FILES}/{stick.BROKEN}.bundle", "retrieveDate": "2026-01-01T00:00:00Z"}
            before = self.central.mark()
            await self.central.call("UpdateFirmware", order, timeout_s=PATIENCE_S)
            for status in ("Downloading", "Downloaded", "Installing", "InstallationFailed"):
                told = await self.central.wait_for(
                    "FirmwareStatusNotification", lambda p, s=status: p["status"] in (s, "Installed"), after=before,
                    timeout_s=LONG_S,
                )  # fmt: skip
                expect(told.payload["status"] == status, f"{status} was awaited, and {told.payload} came")
                print(f"    {status}")
            log = await m.do("journalctl -b -q -o cat -u chargepoint-update")
            taken_back = [line for line in log.splitlines() if f"back to {stick.BETTER}" in line]
            expect(bool(taken_back), log)
            print(f"    {taken_back[-1]}")
            expect(await self.version(m) == stick.BETTER, "another version runs")
            await self.end(m, await self.begin(m))
            await m.do("sync")

    async def journal_versions_and_configuration_move_to_a_data_partition(self) -> None:
        async with self.machine() as m:
            await m.do("systemctl stop chargepoint.target chargepoint-evse chargepoint-station")
            await m.do("mkfs.ext4 -q -L chargepoint-data /dev/vdc && udevadm settle")
            script = "/usr/share/chargepoint/pi/read-only-root /dev/vdc"
            await m.do("mkdir -p /srv/old && mount /dev/vdc /srv/old && mkdir /srv/old/lib && umount /srv/old")
            status, said = await m.attempt(script)
            expect(status == 1 and "nothing was changed" in said, f"old data were not respected: {said}")
            await m.do("mount /dev/vdc /srv/old && rmdir /srv/old/lib && umount /srv/old")
            print("    " + (await m.do(script)).strip())
            await m.do("sync")

    async def a_damaged_data_partition_stops_the_borne_and_not_the_machine(self) -> None:
        here = self.a_damaged_data_partition_stops_the_borne_and_not_the_machine.__name__
        units = ("chargepoint-evse.service", "chargepoint-station.service")
        for what, start, length in (("no label", 0, 4096), ("its tables are nonsense", 4096, 8 << 20)):
            guest.back(here, self.data)
            guest.overwrite(self.data, start, length)
            async with self.machine("proof.overlay systemd.default_device_timeout_sec=60") as m:
                await m.until(partial(given_up, m, units), PATIENCE_S, "systemd has given up both units")
                pids = await m.do(f"systemctl show --value -p MainPID {' '.join(units)}")
                expect(set(pids.split()) == {"0"}, f"{what}: a process runs without its data")
                said = (await m.do(f"journalctl -b -q -o cat -u {' -u '.join(units)}")).strip()
                expect("Dependency failed" in said, f"{what}: the log does not say why: {said}")
                _, mount = await m.attempt("journalctl -b -q -o cat -p err | grep -i -e chargepoint -e fsck")
                print(f"    {what}: {said.splitlines()[-1]}; {mount.strip()}")
        guest.back(here, self.data)

    async def a_read_only_root_keeps_a_session_that_was_cut_off(self) -> None:
        async with self.machine("proof.overlay") as m:
            await self.connected(m)
            await m.do("touch /lost-at-the-next-start; findmnt -no FSTYPE / | grep -q overlay")
            transaction = await self.begin(m)
            await self.register(m)
        async with self.machine("proof.overlay proof.car=1") as m:
            await self.connected(m)
            expect((await m.attempt("test -e /lost-at-the-next-start"))[0] == 1, "the root was written to")
            await self.end(m, transaction)

    async def an_update_on_a_read_only_root_survives_the_next_start(self) -> None:
        async with self.machine("proof.overlay") as m:
            await self.connected(m)
            await m.do("mount -o ro /dev/vdb /media/usb")
            said = await m.do(
                f"chargepoint update install --settled 10 --downgrade /media/usb/{stick.FIRST}.bundle", LONG_S
            )
            expect("is well and stays" in said, said)
            await m.do("sync")
        async with self.machine("proof.overlay") as m:
            await self.connected(m)
            expect(await self.version(m) == stick.FIRST, "the update did not survive the start of the machine")

    async def upgrade_and_downgrade_by_package_keep_the_journal(self) -> None:
        async with self.machine() as m:
            await self.connected(m)
            await m.do("mount -o ro /dev/vdb /media/usb")
            before = await m.do(COUNT)
            for version in (stick.BETTER, stick.FIRST):
                await m.do(f"dpkg -i /media/usb/{version}.deb", LONG_S)
                await self.connected(m, version)
                expect(await m.do(COUNT) == before, "the journal has another number of transactions")
                await self.end(m, await self.begin(m))
                before = await m.do(COUNT)
            print(f"    {before.strip()} transactions in the journal")
            await m.do("sync")

    async def purging_leaves_nothing_and_the_package_installs_again(self) -> None:
        async with self.machine() as m:
            await self.connected(m)
            await m.do("systemctl stop proof-sim.service")  # it runs as one of the users that go
            await m.do("dpkg -P chargepoint")
            left = "ls -A /opt/chargepoint /etc/chargepoint /var/lib/chargepoint; ls /usr/bin/chargepoint"
            _, said = await m.attempt(f"({left}) 2>/dev/null; getent passwd chargepoint; systemctl --failed --plain -q")
            kept = [line for line in said.splitlines() if line and not line.endswith(":")]
            expect(not kept, f"purging left {kept}")
            await m.do("mount -o ro /dev/vdb /media/usb")
            await m.do(f"dpkg -i /media/usb/{stick.FIRST}.deb", LONG_S)
            await m.do("cp /media/usb/chargepoint.toml /etc/chargepoint/ && chargepoint check")
            expect((await m.do(COUNT)).strip() == "0", "the new borne knows transactions of the old one")
            await m.do("systemctl restart proof-sim.service chargepoint.target")
            await self.connected(m)
            await self.end(m, await self.begin(m))

    async def every_transaction_is_there_once_and_no_watt_hour_is_missing(self) -> None:
        """What the central system counted over all the starts and cuts, against the meter's register."""
        account = self.central.transactions
        expect(all(t.meter_stop is not None for t in account), "a transaction never ended")
        expect(not self.central.violations, str(self.central.violations[:2]))
        starts, stops = (len(self.central.calls(f"{kind}Transaction")) for kind in ("Start", "Stop"))
        print(f"    {len(account)} transactions, {starts} starts and {stops} stops received")
        expect(starts == stops == len(account), "a start or a stop was told twice")
        billed = sum(t.energy_wh or 0 for t in account)
        counted = self.energy - self.first_energy
        print(f"    billed: {billed} Wh; the meter counted {counted:.0f} Wh")
        expect(abs(billed - counted) <= len(account), "a watt-hour is missing, or is billed twice")


async def unfailing(m: Machine, command: str) -> bool:
    """The command ends well."""
    return (await m.attempt(command))[0] == 0


async def given_up(m: Machine, units: Iterable[str]) -> bool:
    """Nothing is left to be done for them; they were wanted when the machine started."""
    return "No jobs" in await m.do(f"systemctl list-jobs {' '.join(units)}")


def expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise MachineError(otherwise)


def ended_from_outside() -> None:
    """SIGTERM as Ctrl-C: no machine is left running."""
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


async def prove(suite: str, folder: Path, again: str, until: str) -> bool:
    ended_from_outside()
    made = image.image(suite)
    print(f"image: {made.disk.stat().st_size / 1e6:.0f} MB", flush=True)
    async with CentralSystem(tags=[stick.BADGE]) as central, operators_files(folder / "stick") as files_port:
        proof = Proof(made, folder, central, files_port)
        if again:
            proof.back(again)
        else:
            (folder / "stick").mkdir()
            stick.fill(folder / "stick", suite)
            guest.make_stick(folder / "stick", folder / "stick.img")
            proof.blank()
        claims = (
            proof.the_package_installs_on_a_blank_card,
            proof.a_bornes_bundle_is_applied_from_a_stick,
            proof.the_target_starts_with_the_machine_and_a_car_is_charged,
            proof.a_machine_cut_off_in_mid_session_goes_on_with_it,
            proof.a_car_that_left_while_the_machine_was_off_is_billed_to_the_register,
            proof.a_technician_installs_a_signed_update_from_a_usb_stick_and_it_stays,
            proof.a_technician_takes_the_archive_for_support_along_on_the_stick,
            proof.what_nobody_signed_for_this_borne_is_refused,
            proof.the_console_starts_a_borne_again_whose_station_is_dead,
            proof.a_broken_update_is_taken_back_and_every_transaction_kept,
            proof.journal_versions_and_configuration_move_to_a_data_partition,
            proof.a_damaged_data_partition_stops_the_borne_and_not_the_machine,
            proof.a_read_only_root_keeps_a_session_that_was_cut_off,
            proof.an_update_on_a_read_only_root_survives_the_next_start,
            proof.upgrade_and_downgrade_by_package_keep_the_journal,
            proof.purging_leaves_nothing_and_the_package_installs_again,
            proof.every_transaction_is_there_once_and_no_watt_hour_is_missing,
        )
        names = [claim.__name__ for claim in claims]
        good = True
        for claim in claims[names.index(again) if again else 0 : names.index(until) + 1 if until else None]:
            proof.mark(claim.__name__)
            good &= await tried(claim)
        if proof.starts:
            print(f"the machine answered {min(proof.starts):.0f} to {max(proof.starts):.0f} s after it was switched on")
    return good


@asynccontextmanager
async def operators_files(folder: Path) -> AsyncIterator[int]:
    """A web server of this folder, on the loopback; its port."""
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        serving = asyncio.create_task(asyncio.to_thread(server.serve_forever))
        try:
            yield server.server_port
        finally:
            server.shutdown()
            await serving


async def tried(claim: Callable[[], Awaitable[None]]) -> bool:
    name, began = getattr(claim, "__name__", ""), time.monotonic()
    try:
        await claim()
    except (MachineError, ImageError, TimeoutError, OSError):
        print(f"FAILED {name}\n{traceback.format_exc()}", flush=True)
        return False
    print(f"PROVED {name} ({time.monotonic() - began:.0f} s, load {os.getloadavg()[1]:.1f})", flush=True)
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description="Prove the package on a whole emulated machine.")
    parser.add_argument("--suite", choices=("bookworm", "trixie"), default="bookworm")
    parser.add_argument("--keep", type=Path, help="folder for card, stick and console; default: a temporary one")
    parser.add_argument("--again", metavar="CLAIM", default="", help="go on from this claim with what --keep has kept")
    parser.add_argument("--until", metavar="CLAIM", default="", help="the last claim to try")
    arguments = parser.parse_args()
    if arguments.until and not hasattr(Proof, arguments.until):
        parser.error("--until needs the name of a claim")
    if arguments.again and not (arguments.keep and hasattr(Proof, arguments.again)):
        parser.error("--again needs --keep FOLDER of an earlier run, and the name of a claim")
    if not arguments.again and arguments.keep and (arguments.keep / "stick").exists():
        parser.error(f"{arguments.keep} has an earlier run; name a new folder, or go on with --again CLAIM")
    why = image.missing()
    if why:
        print(f"skipped: {why}")
        return 0
    with tempfile.TemporaryDirectory(prefix="machine-") as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        return 0 if asyncio.run(prove(arguments.suite, folder, arguments.again, arguments.until)) else 1


if __name__ == "__main__":
    sys.exit(main())
