"""How the station, which may not write to /opt, has an update installed: by two files in its state directory.

The station puts a downloaded bundle at `update/incoming.bundle` and asks with `update/request.json`; a path unit
starts `chargepoint update serve` as root, which writes `update/status.json` at every step. The backend's firmware
messages and the console's USB stick both go this way.
"""

import json
import os
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

import msgspec


class Step(StrEnum):
    """Where an update is. The names are those of OCPP's firmware status, where it has one."""

    IDLE = "Idle"
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
        self._request = self.folder / "request.json"
        self._status = self.folder / "status.json"

    def ask(self, request: Request) -> None:
        """The station's end: the bundle stands at `incoming` already."""
        self.folder.mkdir(parents=True, exist_ok=True)
        _put(self._request, asdict(request))

    def progress(self) -> Progress:
        """The station's end: how far it is. Idle when nothing was ever asked."""
        try:
            return msgspec.json.decode(self._status.read_bytes(), type=Progress)
        except FileNotFoundError:
            return Progress(Step.IDLE)

    def take(self) -> Request | None:
        """The installer's end: the request, once; it is taken away so that a crash does not install for ever."""
        try:
            request = msgspec.json.decode(self._request.read_bytes(), type=Request)
        except (FileNotFoundError, msgspec.DecodeError):
            request = None
        self._request.unlink(missing_ok=True)
        return request

    def say(self, progress: Progress) -> None:
        """The installer's end."""
        self.folder.mkdir(parents=True, exist_ok=True)
        _put(self._status, asdict(progress))


def _put(path: Path, content: dict[str, object]) -> None:
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
