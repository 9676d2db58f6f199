"""Versions installed side by side, and which of them runs.

```
/opt/chargepoint/versions/1.4.0/   one version: bin/chargepoint and lib/
/opt/chargepoint/current           symbolic link: the version that runs
/opt/chargepoint/before            symbolic link: the one that watches a trial; the one on trial may not start
/opt/chargepoint/trial.json        of a version on trial: the one before, since when, starts of the machine
```
A switch is one rename. A version on trial that does not pass its health check, or does not survive two starts of the
machine, is switched back; the journal is not touched by that (its schema only grows). Whoever changes what runs holds
`.change.lock` while doing so, who watches a trial `.watch.lock`, and who serves the station's request `.serve.lock`:
a program that is killed holds nothing, and another one goes on in its place.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from chargepoint.update import bundle
from chargepoint.update.bundle import BundleError, Manifest, version_key
from chargepoint.update.locks import held

ROOT = Path("/opt/chargepoint")
PACKAGE = Path("/usr/lib/chargepoint")
"""Where the package lays what no bundle brings."""
KEEP = 3
"""Versions that stay on the disk: current, previous and one more."""
RESERVE = 64 << 20
"""Bytes that stay free for the journal, which may lie on the same partition."""
TRIAL_STARTS = 2
"""A version on trial may be started with the machine so often before it counts as broken."""
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
"""Another one after each start of the machine."""
_CHANGE_S = 60.0
"""A change is a few small files; who holds the lock for longer is stuck."""
_VERSION = re.compile(r"[0-9][0-9A-Za-z.+~-]{0,40}")
_BESIDE = re.compile(rf"\.({_VERSION.pattern})\.(?:laying|whole)")
"""Where the package's script lays a version that runs."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A switch that has not been confirmed yet."""

    version: str
    previous: str
    starts: int = 0
    """Of the machine, since the switch."""
    was_usable: bool = True
    """A point could be used before the switch; a borne that was faulty before cannot prove it now."""
    boot: str = ""
    """The start of the machine that was counted last, or of the switch."""
    since_s: float = 0.0
    """Monotonic time of the switch, or of when that start was counted."""


class Slots:
    """The versions below one root directory."""

    def __init__(self, root: Path = ROOT, package: Path = PACKAGE) -> None:
        self._root, self._package = root, package
        self._versions = root / "versions"
        self._current = root / "current"
        self._trial = root / "trial.json"

    def current(self) -> str | None:
        """The version that runs, or None when nothing is installed."""
        return self._named("current")

    def _named(self, link: str) -> str | None:
        """The version a link names. One whose package a power cut found laying it anew runs from beside its place."""
        folder = self._linked(link)
        beside = folder and _BESIDE.fullmatch(folder)
        return beside[1] if beside else folder

    def _linked(self, link: str) -> str | None:
        path = self._root / link
        return path.readlink().name if path.is_symlink() else None

    def _folder(self, version: str) -> str:
        """Where a version lies: at its place, which may be half a folder as long as it runs from beside it."""
        for link in ("current", "before"):
            folder = self._linked(link)
            if folder is not None and self._named(link) == version and (self._versions / folder).is_dir():
                return folder
        return version

    def installed(self) -> list[str]:
        """Whole versions on the disk, oldest first."""
        if not self._versions.is_dir():
            return []
        return sorted((d.name for d in self._versions.iterdir() if _VERSION.fullmatch(d.name)), key=version_key)

    def trial(self) -> Trial | None:
        """The version on trial. A note that cannot be read leaves what `before` says: that trial counts as lost."""
        try:
            return self._noted()
        except msgspec.DecodeError:
            current, before = self.current(), self._named("before")
            if current is None or before in (None, current) or not (self._root / "before").is_dir():
                return None
            return Trial(current, before, TRIAL_STARTS + 1, boot=_boot())

    def torn(self) -> bool:
        """A trial is noted, and the note cannot be read."""
        try:
            self._noted()
        except msgspec.DecodeError:
            return True
        return False

    def _noted(self) -> Trial | None:
        try:
            return msgspec.json.decode(self._trial.read_bytes(), type=Trial)
        except FileNotFoundError:
            return None

    def check(self, manifest: Manifest, serial: str, downgrade: bool = False) -> None:
        """Refuse what is not for this borne or is not newer. Raises BundleError."""
        manifest.for_this(serial)
        if not _VERSION.fullmatch(manifest.version):
            raise BundleError(f"{manifest.version!r} is not a version, like 1.4.0")
        needs, has = manifest.needs_units, bundle.units_number(self._package)
        if needs > has:
            raise BundleError(
                f"version {manifest.version} needs units of number {needs}, and the installed package brought number "
                f"{has}: install the Debian package of version {manifest.version}"
            )
        running = self.current()
        if running is not None and version_key(manifest.version) <= version_key(running) and not downgrade:
            age = "the same as" if manifest.version == running else "older than"
            raise BundleError(
                f"version {manifest.version} is {age} the running {running}; --downgrade installs it all the same"
            )

    def install(self, path: Path, keys: Iterable[Ed25519PublicKey], serial: str, downgrade: bool = False) -> str:
        """Check the bundle and lay it beside the others, without switching. Answers its version. Raises BundleError.

        What is laid out must be able to say its own version: a bundle for another machine is found out here.
        """
        keys = tuple(keys)
        with held(self._root / ".laying.lock", 0.0, "another bundle is being laid out"):
            manifest = bundle.read_manifest(path, keys)
            self.check(manifest, serial, downgrade)
            self._versions.mkdir(parents=True, exist_ok=True)
            self._clear_halves()
            # As much again for the byte code.
            enough_room(self._versions, 2 * sum(entry.size for entry in manifest.files))
            laying = self._versions / f".{manifest.version}.laying"
            laying.mkdir()
            try:
                self._lay(path, keys, manifest, laying)
            except (BundleError, OSError):
                shutil.rmtree(laying, ignore_errors=True)
                raise
            return manifest.version

    def _lay(self, path: Path, keys: Iterable[Ed25519PublicKey], manifest: Manifest, laying: Path) -> None:
        version, place = manifest.version, self._versions / manifest.version
        if bundle.extract(path, keys, laying) != manifest:  # the folder it lies in is the station's
            raise BundleError(f"{path.name} was exchanged for another bundle while it was laid out")
        for folder in (laying, *(each for each in laying.rglob("*") if each.is_dir())):
            folder.chmod(0o755)  # the services are other users than who installs
        _try(laying / "bin" / "chargepoint", version)
        _compile(laying / "lib")
        os.sync()  # the byte code and the folders; the files are there already
        with self._changing():
            trial = self.trial()
            if version == self.current():
                raise BundleError(f"version {version} is running; it cannot be replaced by itself")
            if trial is not None and version == trial.previous:
                raise BundleError(f"version {version} is the way back from the one on trial; it cannot be replaced now")
            if place.exists():
                # Aside first: half a version must never bear the name of a whole one.
                place.rename(self._versions / f".{version}.aside")
            laying.rename(place)
            sync_folder(self._versions)
        self._clear_halves()

    def _clear_halves(self) -> None:
        """What was not laid out to its end, or was on its way out. The caller holds the lock of laying out."""
        linked = {self._linked("current"), self._linked("before")}
        for left in (*self._versions.glob(".*.laying"), *self._versions.glob(".*.aside")):
            if left.name not in linked:
                shutil.rmtree(left, ignore_errors=True)

    def switch(self, version: str, was_usable: bool = True) -> None:
        """Make `version` the current one, on trial. The caller restarts the services. Raises BundleError.

        Beside a trial that is under way, the way back leads to the version before that: no other has proved itself.
        """
        with self._changing():
            self._known(version)
            trial = self.trial()
            previous = trial.previous if trial is not None else self.current()
            if trial is not None and previous == version:
                self._go_back(trial)
                return
            if previous is not None and previous != version:
                self._link("before", previous)
                self._write_trial(Trial(version, previous, 0, was_usable, _boot(), time.monotonic()))
            self._link("current", version)

    def confirm(self) -> None:
        """The version on trial has proved itself: it stays, and old ones are cleared away."""
        with self._changing():
            trial = self.trial()
            self._trial.unlink(missing_ok=True)
            sync_folder(self._root)
            self._clear({self.current(), trial.previous if trial is not None else None})

    def roll_back(self) -> str:
        """Point back to the version before the trial. Answers it. Raises BundleError when nothing is on trial."""
        with self._changing():
            trial = self.trial()
            if trial is None:
                raise BundleError(
                    "no version is on trial; name the version to go to: chargepoint update switch VERSION"
                )
            return self._go_back(trial)

    def _go_back(self, trial: Trial) -> str:
        self._known(trial.previous)
        self._link("current", trial.previous)
        self._trial.unlink(missing_ok=True)
        sync_folder(self._root)
        return trial.previous

    def started(self) -> Trial | None:
        """Count this start of the machine with the version on trial, once; the caller rolls back when that is too many.

        A trial of a version that does not run is what a power cut left of a switch, to it or back: it is dropped, and
        so is a note that cannot be read where there is no version to go back to.
        """
        with self._changing():
            trial, boot = self.trial(), _boot()
            if trial is None or trial.version != self.current():
                self._trial.unlink(missing_ok=True)
                sync_folder(self._root)
                return None
            if trial.boot != boot:
                trial = replace(trial, starts=trial.starts + 1, boot=boot, since_s=time.monotonic())
                self._write_trial(trial)
            return trial

    def watching(self, patience_s: float) -> AbstractContextManager[None]:
        """Held by who judges a trial. Raises BundleError when somebody else watches for all that time."""
        return held(self._root / ".watch.lock", patience_s, "another program watches the trial")

    def serving(self, patience_s: float = 0.0) -> AbstractContextManager[None]:
        """Held by who installs what the station asked for, and tells its end. Raises BundleError when somebody does."""
        return held(self._root / ".serve.lock", patience_s, "another update is under way")

    def _changing(self) -> AbstractContextManager[None]:
        return held(self._root / ".change.lock", _CHANGE_S, "another program changes the version that runs")

    def _known(self, version: str) -> None:
        if not _VERSION.fullmatch(version) or not (self._versions / self._folder(version)).is_dir():
            have = ", ".join(self.installed()) or "none"
            raise BundleError(f"version {version!r} is not installed; there is {have}")

    def _link(self, name: str, version: str) -> None:
        new = self._root / f".{name}.new"
        new.unlink(missing_ok=True)
        new.symlink_to(Path("versions") / self._folder(version))
        new.replace(self._root / name)
        sync_folder(self._root)

    def _write_trial(self, trial: Trial) -> None:
        new = self._root / ".trial.new"
        with new.open("w", encoding="utf-8") as file:
            json.dump(asdict(trial), file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._trial)
        sync_folder(self._root)

    def _clear(self, proved: set[str | None]) -> None:
        """Those that have proved themselves stay, whatever newer ones that were taken back lie beside them."""
        others = [version for version in self.installed() if version not in proved]
        spare = max(0, KEEP - len(proved - {None}))
        for version in others[: len(others) - spare]:
            shutil.rmtree(self._versions / version)


def enough_room(folder: Path, size: int) -> None:
    """Raises BundleError when so many bytes more would take the room the journal needs."""
    free = shutil.disk_usage(folder).free - RESERVE
    if size > free:
        raise BundleError(
            f"the disk is too full: {max(0, free)} bytes may be used, {size} are needed at least, and {RESERVE} stay "
            "free for the journal"
        )


def _try(program: Path, version: str) -> None:
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BundleError(f"version {version} does not run on this machine: {error}") from error
    if done.returncode != 0 or version not in done.stdout.split():
        said = (done.stdout + done.stderr).strip()[-200:]
        raise BundleError(f"version {version} does not run on this machine, it said: {said or 'nothing'}")


def _compile(lib: Path) -> None:
    """Byte code beside the sources: a read-only root could not keep it later, and every start would pay for it."""
    try:
        # A module that cannot be compiled shows when it is imported: the trial is for that.
        command = [sys.executable, "-m", "compileall", "-q", str(lib)]
        subprocess.run(command, capture_output=True, timeout=600, check=False, umask=0o022)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BundleError(f"{lib} could not be compiled: {error}") from error


def _boot() -> str:
    return BOOT_ID.read_text(encoding="ascii").strip()


def sync_folder(folder: Path) -> None:
    """What was renamed or removed in it is so after a power cut, too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
