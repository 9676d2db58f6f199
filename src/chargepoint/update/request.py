"""How the station, which may not write to /opt, has an update installed: by two files in its state directory.

The station puts a downloaded bundle at `update/incoming.bundle` and asks with `update/request.json`; a path unit
starts `chargepoint update serve` as root, which writes `update/status.json` at every step. The backend's firmware
messages and the console's USB stick both go this way.
"""

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

import msgspec


class Step(StrEnum):
    """Where an update is. The names are those of OCPP's firmware status, where it has one."""

    IDLE = "Idle"
    TAKEN = "Downloaded"
    VERIFIED = "SignatureVerified"
    INVALID = "InvalidSignature"
    WAITING = "InstallScheduled"
    INSTALLING = "Installing"
    TRIAL = "InstallRebooting"
    INSTALLED = "Installed"
    FAILED = "InstallationFailed"


@dataclass(frozen=True, slots=True)
class Request:
    """What the station asks for."""

    id: int
    """The backend's request id; 0 for a technician's."""
    at_once: bool = False
    """Do not wait until no car charges; sessions are stopped by the restart as by a power cut, and resumed after it."""
    not_before: float = 0.0
    """UTC, seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What the station may tell the backend."""

    step: Step
    text: str = ""
    version: str = ""
    id: int = 0


class Exchange:
    """Both ends of the two files."""

    def __init__(self, state_dir: Path) -> None:
        self.folder = state_dir / "update"
        self.incoming = self.folder / "incoming.bundle"
        self.taken = self.folder / "taken.bundle"
        """The installer's own, while it works: the next request may come with another."""
        self._request = self.folder / "request.json"
        self._status = self.folder / "status.json"

    def forget(self) -> None:
        """The station's end, before anything is laid down: what became of the last update is not said of this one."""
        self._status.unlink(missing_ok=True)

    def ask(self, request: Request) -> None:
        """The station's end: the bundle stands at `incoming` already."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.forget()
        put(self._request, asdict(request))

    def waits(self) -> bool:
        """Nobody has taken the request yet."""
        return self._request.exists()

    def withdraw(self) -> bool:
        """Take back what nobody took: it shall not be installed tomorrow. False: somebody has."""
        try:
            self._request.unlink()
        except FileNotFoundError:
            return False
        self.incoming.unlink(missing_ok=True)
        return True

    def progress(self) -> Progress:
        """How far it is. Idle when nothing was ever asked, or nobody can tell."""
        try:
            return msgspec.json.decode(self._status.read_bytes(), type=Progress)
        except (FileNotFoundError, msgspec.DecodeError):
            return Progress(Step.IDLE)

    def take(self) -> Request | None:
        """The installer's end: the request and its bundle, once; they are taken away so that a crash does not install
        for ever. It is said before: whoever asked never sees the word about another update.
        """
        try:
            request = msgspec.json.decode(self._request.read_bytes(), type=Request)
            self.say(Progress(Step.TAKEN, id=request.id))
        except (FileNotFoundError, msgspec.DecodeError):
            request = None
        finally:
            self._request.unlink(missing_ok=True)
        if request is not None:
            self.put_away()
            with contextlib.suppress(FileNotFoundError):
                self.incoming.rename(self.taken)
        return request

    def put_away(self) -> None:
        """The installer's end: the bundle is not needed any more."""
        self.taken.unlink(missing_ok=True)

    def say(self, progress: Progress) -> None:
        """The installer's end."""
        self.folder.mkdir(parents=True, exist_ok=True)
        put(self._status, asdict(progress))


def put(path: Path, content: Mapping[str, object]) -> None:
    """Replace the file whole. The folder is the station's and one writer is root: never follow a link laid there."""
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o660)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o660)
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
