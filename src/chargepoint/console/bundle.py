"""One redacted archive for support: what was asked of every borne that ever stood dark, collected by one command."""

import io
import json
import os
import platform
import shutil
import sys
import tarfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec

from chargepoint import __version__
from chargepoint.config import Config
from chargepoint.console.borne import JournalUnreadable, SafetySilent, when
from chargepoint.console.rpc import Refused, Unreachable
from chargepoint.console.session import Session
from chargepoint.console.settings import redacted
from chargepoint.text import file_name, mask

SESSIONS, LOG_LINES, DUMPS, HISTORY, MESSAGES = 200, 4000, 10, 1000, 200
"""How much of each goes in: a bundle is carried away on a stick or sent over a thin line."""
_THROTTLED_BITS = {
    0: "under-voltage now",
    1: "frequency capped now",
    2: "throttled now",
    3: "soft temperature limit now",
    16: "under-voltage since the start",
    17: "frequency capped since the start",
    18: "throttled since the start",
    19: "soft temperature limit since the start",
}
"""Bits of the word that the Raspberry Pi's firmware gives (`vcgencmd get_throttled`)."""
_THROTTLED = Path("/sys/devices/platform/soc/soc:firmware/get_throttled")


def make_bundle(session: Session, directory: Path) -> Path:
    """Write `<id>-<time>.tar.gz` into the directory. What cannot be read is named in the archive. Raises OSError."""
    now = datetime.now(UTC)
    target = directory / f"{file_name(session.config.station.id)}-{now:%Y%m%dT%H%M%SZ}.tar.gz"
    with tarfile.open(target, "w:gz") as archive:
        for name, make in _parts(session).items():
            _add(archive, name, _content(make))
        dumps = session.config.station.state_dir / "recorder"
        for dump in sorted(dumps.glob("*.rec"), key=lambda file: file.stat().st_mtime)[-DUMPS:]:
            archive.add(dump, f"recorder/{dump.name}")
    return target


def _parts(session: Session) -> dict[str, Callable[[], str]]:
    borne = session.borne
    return {
        "versions.json": lambda: _json(_versions()),
        "system.json": lambda: _json(_system(session.config)),
        "chargepoint.toml": lambda: redacted(Path(session.config_file).read_text(encoding="utf-8")),
        "status.json": lambda: _json(_masked(borne.station.ask("status"))),
        "evse.json": lambda: (session.config.station.state_dir / "evse.json").read_text(encoding="utf-8"),
        "sessions.json": lambda: _json(_masked(borne.sessions(SESSIONS))),
        "settings.json": lambda: _json(_masked(borne.stored("settings"))),
        "history.json": lambda: _json([(when(at), msgspec.to_builtins(event)) for at, event in borne.history(HISTORY)]),
        "messages.json": lambda: _json(_masked(borne.station.ask("messages", count=MESSAGES))),
        "meter-frames.json": lambda: _json(borne.station.ask("meter_frames", count=100)),
        "log.jsonl": lambda: "\n".join(json.dumps(_masked(event)) for event in borne.log_lines(LOG_LINES)),
    }


def _content(make: Callable[[], str]) -> str:
    try:
        return make()
    except (OSError, ValueError, Unreachable, Refused, SafetySilent, JournalUnreadable) as error:
        return f"could not be read: {error}\n"


def _add(archive: tarfile.TarFile, name: str, text: str) -> None:
    raw = text.encode(errors="backslashreplace")
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime = len(raw), int(time.time())
    archive.addfile(entry, io.BytesIO(raw))


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, default=str) + "\n"


def _masked(value: Any, key: str = "") -> Any:
    """Badges masked, secrets left out, whatever the depth."""
    match value:
        case dict():
            return {name: _masked(item, str(name).lower()) for name, item in value.items()}
        case list():
            return [_masked(item, key) for item in value]
        case str() if key in ("token", "id_token", "idtag", "uid", "id_tag"):
            return mask(value)
        case str() if "password" in key or "authorizationkey" in key or key == "pin":
            return "***"
        case _:
            return value


def _versions() -> dict[str, Any]:
    packages = {item.metadata["Name"]: item.version for item in metadata.distributions()}
    return {"chargepoint": __version__, "python": sys.version, "packages": dict(sorted(packages.items()))}


def _system(config: Config) -> dict[str, Any]:
    """Facts of the board: throttling and under-voltage, temperature, memory, how long it has been up."""
    files = {
        "model": Path("/proc/device-tree/model"),
        "throttled": _THROTTLED,
        "temperature_millicelsius": Path("/sys/class/thermal/thermal_zone0/temp"),
        "uptime": Path("/proc/uptime"),
        "load": Path("/proc/loadavg"),
        "memory": Path("/proc/meminfo"),
        "disks": Path("/proc/mounts"),
    }
    facts: dict[str, Any] = {"kernel": platform.platform()}
    for name, file in files.items():
        try:
            facts[name] = file.read_text(errors="replace").strip("\0\n")
        except OSError as error:
            facts[name] = f"not here ({error.strerror})"
    facts["throttled_means"] = throttling(str(facts["throttled"]))
    facts["uptime_s"] = round(time.clock_gettime(time.CLOCK_BOOTTIME))
    facts["memory_available_bytes"] = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for name, place in (("state", config.station.state_dir), ("run", config.station.run_dir), ("root", Path("/"))):
        try:
            facts[f"disk_{name}_bytes"] = shutil.disk_usage(place)._asdict()
        except OSError as error:
            facts[f"disk_{name}_bytes"] = f"not here ({error.strerror})"
    return facts


def throttling(word: str) -> list[str]:
    """What the firmware's word says of power and heat, now and since the start."""
    try:
        bits = int(word, 16)
    except ValueError:
        return []
    return [text for bit, text in _THROTTLED_BITS.items() if bits >> bit & 1]
