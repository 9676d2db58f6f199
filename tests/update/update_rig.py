"""Signed updates of a version that only says its name, the key that signs them, and a borne that they are for."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chargepoint.config import Config
from chargepoint.config_check import parse
from chargepoint.update import bundle, command, health
from chargepoint.update.bundle import Manifest
from chargepoint.update.slots import Slots

KEY = Ed25519PrivateKey.generate()
TRUSTED = (KEY.public_key(),)
CONFIG = """
[station]
id = "X"
serial = "ARD-0001"
state_dir = "{0}/state"
run_dir = "{0}/run"
[supply]
max_current = 32
[board]
kind = "simulated"
[[evse]]
id = 1
max_current = 32
[ocpp]
url = "ws://csms.example/ocpp"
security_profile = 0
"""


def configured(root: Path) -> Config:
    """The borne; its directories lie below `root`."""
    return parse(CONFIG.format(root))


def trusted_folder(root: Path) -> Path:
    """A folder with the key that signs, as /etc/chargepoint/trusted-keys."""
    folder = root / "trusted"
    folder.mkdir()
    encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    (folder / "office.pem").write_bytes(KEY.public_key().public_bytes(encoding, form))
    return folder


def packed(
    folder: Path,
    version: str,
    borne: str = "",
    says: str | None = None,
    kind: str = "update",
    key: Ed25519PrivateKey = KEY,
) -> Path:
    """A bundle in this folder; its program says `says`, when that is not its version."""
    program = f"#!/bin/sh\necho chargepoint {says or version}\n".encode()
    start = folder / f"start-{version}"
    start.write_bytes(program)
    start.chmod(0o755)
    contents: dict[str, bytes | Path] = {"bin/chargepoint": start, "lib/x.py": version.encode()}
    path = folder / f"{version}-{borne}-{kind}.bundle"
    bundle.write(path, Manifest(kind, borne, version, bundle.entries(contents)), contents, key)
    start.unlink()
    return path


class Station:
    """A station that answers what the version that runs would answer, and a clock that does not wait."""

    def __init__(self, slots: Slots, broken: str = "") -> None:
        self.slots, self.broken = slots, broken
        self.charging: list[int | None] = [None]
        self.point: dict[str, object] = {"id": 1, "status": "Available"}
        self.on_sleep: Callable[[], None] = lambda: None
        self.restarts = 0
        self.now = 0.0
        self.began = 0.0
        """When its process was started, by that clock."""

    def status(self, _: Path) -> dict[str, object] | None:
        version = self.slots.current()
        if version == self.broken:
            return None
        transaction = self.charging.pop(0) if len(self.charging) > 1 else self.charging[0]
        started, now = (datetime.fromtimestamp(at, UTC).isoformat() for at in (self.began, self.now))
        point = {**self.point, "transaction": transaction}
        return {
            "version": version, "started": started, "time": now, "evses": [point], "ocpp": {"connected": True},
        }  # fmt: skip

    def restart(self) -> None:
        self.restarts += 1
        self.began = self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.on_sleep()


def switched_on(station: Station, monkeypatch: pytest.MonkeyPatch) -> Station:
    """In the place of the one that the update's programs would ask, restart and wait for."""
    monkeypatch.setattr(health, "station_status", station.status)
    monkeypatch.setattr(command, "_restart", station.restart)
    monkeypatch.setattr(command.time, "sleep", station.sleep)
    monkeypatch.setattr(command.time, "monotonic", lambda: station.now)
    monkeypatch.setattr(health.wait_until_settled, "__defaults__", (lambda: station.now, station.sleep))
    return station
