"""Signed updates of a version that only says its name, the key that signs them, and a borne that they are for."""

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chargepoint.config import Config
from chargepoint.config_check import parse
from chargepoint.update import bundle
from chargepoint.update.bundle import Manifest

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
