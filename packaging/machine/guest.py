"""One running machine: qemu, its disk, its stick, and what is said to it."""

import asyncio
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from image import HERE, Image, run

CENTRAL = "10.0.2.100:9000"
"""Where the machine finds the central system: qemu hands each connection over to this machine's loopback."""
FILES = "10.0.2.101:8080"
"""Where it finds the operator's files."""
ASK = """import json, socket, sys
for line in sys.argv[2:]:
    with socket.socket(socket.AF_UNIX) as there:
        there.settimeout(300)
        there.connect(sys.argv[1])
        there.sendall(line.encode() + b"\\n")
        answer = next(a for a in map(json.loads, there.makefile()) if a.get("id") == 1)
    if "error" in answer:
        sys.exit(json.dumps(answer["error"]))
print(json.dumps(answer["result"]))"""
"""Calls over a socket of the borne, in the machine. The command line takes four times as long to start."""
SLOW = "systemd.show_status=0 systemd.default_device_timeout_sec=600 systemd.default_timeout_start_sec=600"
"""To the kernel: an emulated machine beside other work may need more than 90 s to find a disk or to start a program."""
START_S = 420.0
PATIENCE_S = 480.0
"""For its start, and for each thing that is waited for: the machine is emulated, and there may be other work."""


class MachineError(Exception):
    """The machine did not do what was asked; the text has its last words."""


class Machine:
    """Boots on entry, is cut off without warning on exit (there is no other way to end it)."""

    def __init__(
        self, image: Image, disk: Path, stick: Path, ports: tuple[int, int], words: str, data: Path,
        usb: Path | None = None,
    ) -> None:  # fmt: skip
        """`disk` and `data` are written to. `stick` is an ext4 image, read-only. `words` go to the kernel. `ports` of
        the loopback: central system, operator's files.

        With `usb`, another such image, it is in a USB port, the meters hang at a USB adapter, and a technician sits at
        another.
        """
        self.image = image
        self.disk = disk
        self.stick = stick
        self.data = data
        self.usb = usb
        self.terminal = disk.with_suffix(".terminal")
        """The socket of the technician's terminal."""
        self.words = words
        self.ports = ports
        self.console = disk.with_suffix(".console")
        self.up_after_s = 0.0
        """From qemu's start until the machine answered."""
        self._ids = 0

    async def __aenter__(self) -> Self:
        began = time.monotonic()
        socket = self.disk.with_suffix(".socket")
        socket.unlink(missing_ok=True)
        with self.console.open("ab") as console:
            self._process = await asyncio.create_subprocess_exec(
                *self._command(socket), stdin=asyncio.subprocess.DEVNULL, stdout=console, stderr=console
            )
        try:
            self._reader, self._writer = await self._connect(socket)
            await self._first_answer()
        except BaseException:
            await self.cut()
            raise
        self.up_after_s = time.monotonic() - began
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.cut()

    def _command(self, socket: Path) -> list[str]:
        relay = f"{sys.executable} {HERE / 'relay.py'}"
        forwards = (f"guestfwd=tcp:{at}-cmd:{relay} {p}" for at, p in zip((CENTRAL, FILES), self.ports, strict=True))
        return [
            *("qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a72", "-smp", "2", "-m", "1024", "-display", "none"),
            *("-monitor", "none", "-serial", "stdio", "-kernel", str(self.image.kernel)),
            *("-initrd", str(self.image.initrd), "-no-reboot"),
            *("-append", f"console=ttyAMA0 quiet loglevel=3 net.ifnames=0 {SLOW} {self.words}"),
            *("-drive", f"if=none,id=disk,file={self.disk}", "-device", "virtio-blk-pci,drive=disk"),
            *("-drive", f"if=none,id=stick,format=raw,readonly=on,file={self.stick}"),
            *("-device", "virtio-blk-pci,drive=stick", "-device", "virtio-rng-pci"),
            *("-drive", f"if=none,id=data,file={self.data}", "-device", "virtio-blk-pci,drive=data"),
            # The machine sees nothing but the central system and the files.
            *("-netdev", f"user,id=net,restrict=on,{','.join(forwards)}"),
            *("-device", "virtio-net-pci,netdev=net,romfile=", "-device", "virtio-serial-pci"),
            *("-chardev", f"socket,id=proof,path={socket},server=on,wait=off"),
            *("-device", "virtserialport,chardev=proof,name=proof"),
            *self._technician(),
        ]

    def _technician(self) -> list[str]:
        if self.usb is None:
            return []
        self.terminal.unlink(missing_ok=True)
        return [
            *("-drive", f"if=none,id=usb,format=raw,file={self.usb}"),
            *("-device", "qemu-xhci", "-device", "usb-storage,drive=usb"),
            *("-chardev", f"socket,id=terminal,path={self.terminal},server=on,wait=off"),
            *("-device", "usb-serial,chardev=terminal,always-plugged=on,serial=CP-CONSOLE1"),
            *("-chardev", "null,id=meters"),
            *("-device", "usb-serial,chardev=meters,always-plugged=on,serial=CP-METERS1"),
        ]

    async def _connect(self, socket: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        for _ in range(100):
            if self._process.returncode is not None:
                break
            try:
                return await asyncio.open_unix_connection(str(socket), limit=1 << 22)
            except (FileNotFoundError, ConnectionRefusedError):
                await asyncio.sleep(0.1)
        raise MachineError(f"qemu does not run: {self.last_words()}")

    async def _first_answer(self) -> None:
        """What is said before the machine listens may be lost: ask again until it answers."""
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            try:
                async with asyncio.timeout(5):
                    await self._ask("true", 5)
            except TimeoutError:
                continue
            return
        raise MachineError(f"the machine did not start within {START_S:g} s: {self.last_words()}")

    async def _ask(self, command: str, seconds: float) -> tuple[int, str]:
        self._ids += 1
        order = {"id": self._ids, "command": command, "seconds": seconds}
        self._writer.write(json.dumps(order).encode() + b"\n")
        while True:
            line = await self._reader.readline()
            if not line:
                raise MachineError(f"the machine is gone: {self.last_words()}")
            answer = json.loads(line)
            if answer["id"] == self._ids:
                return int(answer["status"]), str(answer["said"])

    async def do(self, command: str, seconds: float = PATIENCE_S) -> str:
        """What the command says. Raises MachineError when it fails."""
        status, said = await self.attempt(command, seconds)
        if status != 0:
            raise MachineError(f"`{command}` ended with {status}:\n{said[-3000:]}")
        return said

    async def attempt(self, command: str, seconds: float = PATIENCE_S) -> tuple[int, str]:
        """Exit status and what the command says."""
        async with asyncio.timeout(seconds + 30):
            return await self._ask(command, seconds)

    async def call(self, socket: str, *calls: tuple[str, dict[str, object]]) -> Any:
        """The answer to the last of these calls (method, parameters), to `sim.sock` or `station.sock`."""
        lines = [json.dumps({"jsonrpc": "2.0", "id": 1, "method": name, "params": words}) for name, words in calls]
        words = ("/usr/bin/python3", "-I", "-S", "-c", ASK, f"/run/chargepoint/{socket}", *lines)
        return json.loads(await self.do(shlex.join(words)))

    async def status(self) -> dict[str, Any]:
        """What the station says of itself; empty while it does not answer."""
        try:
            answer: dict[str, Any] = await self.call("station.sock", ("status", {}))
        except MachineError:
            return {}
        return answer

    async def until(self, holds: Callable[[], Awaitable[Any]], seconds: float, what: str) -> Any:
        end = time.monotonic() + seconds
        while True:
            value = await holds()
            if value:
                return value
            if time.monotonic() > end:
                raise MachineError(f"not within {seconds:g} s: {what}")
            await asyncio.sleep(0.5)

    async def cut(self) -> None:
        """The mains go: nothing is flushed, nothing is told."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    def last_words(self) -> str:
        return self.console.read_text(errors="replace")[-1500:] if self.console.exists() else ""


def new_disk(image: Image, disk: Path) -> None:
    """A blank card: what is written to it does not reach the image."""
    _qemu_img("create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", image.disk, disk)


def new_data(disk: Path, size: str) -> None:
    """An empty disk."""
    _qemu_img("create", "-q", "-f", "qcow2", disk, size)


def mark(name: str, *disks: Path) -> None:
    """Keep the disks as they are, under a name; a mark of that name is made anew."""
    for disk in disks:
        marks = subprocess.run(["qemu-img", "snapshot", "-l", str(disk)], capture_output=True, text=True, check=True)
        if name in marks.stdout.split():
            _qemu_img("snapshot", "-d", name, disk)
        _qemu_img("snapshot", "-c", name, disk)


def back(name: str, *disks: Path) -> None:
    """The disks as they were at that mark. Raises ImageError when there is none."""
    for disk in disks:
        _qemu_img("snapshot", "-a", name, disk)


def overwrite(disk: Path, start: int, length: int) -> None:
    """Bytes of a disk that is not in use."""
    run("qemu-io", "-c", f"write -P 0xa5 {start} {length}", disk)


def _qemu_img(*words: str | Path) -> None:
    run("qemu-img", *words)


def make_stick(folder: Path, stick: Path) -> None:
    """A USB stick with the files of a folder."""
    run("mke2fs", "-q", "-F", "-t", "ext4", "-d", folder, stick, "200M")
