"""Signed bundles: one file that is either whole, meant for this borne and signed by a trusted key, or refused.

A bundle is a tar archive, gzip-compressed, whose first member is `manifest.json`, the second `manifest.sig` (Ed25519
over the manifest's bytes), then the files the manifest lists, in its order, each with size and SHA-256. Nothing is
believed before the signature is checked, and nothing else may be in the archive.
"""

import gzip
import hashlib
import io
import json
import os
import re
import tarfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import IO

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

FORMAT = 1
MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"
MANIFEST_MAX = 8 * 1024 * 1024
"""Bytes; a manifest of ten thousand files has about two million."""
UNITS = "units-number"
"""In a version's folder: the number of the units it needs; and where the package lays what no bundle brings, theirs."""
_CHUNK = 1 << 16
_VERSION = re.compile(r"(\d+(?:\.\d+)*)[.-]?(.*)")
_MODES = (0o600, 0o640, 0o644, 0o755)


class BundleError(Exception):
    """The bundle is refused; the text says why and, where there is one, the remedy."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file: its path below the target directory, and what it must be."""

    name: str
    size: int
    sha256: str
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the signer says about the bundle."""

    kind: str
    """`update` or `provision`."""
    borne: str
    """Serial of the one borne it is for; empty means any."""
    version: str
    files: tuple[Entry, ...]
    format: int = FORMAT
    needs_units: int = 0
    """The units' number (`UNITS`) that the package must have brought. Older programs do not look at it."""

    def for_this(self, serial: str) -> None:
        """Raises BundleError for what is no update of the borne with this serial."""
        if self.kind != "update":
            raise BundleError(f"this is a bundle of kind {self.kind!r}, not an update")
        if self.borne not in ("", serial):
            raise BundleError(f"the bundle is for borne {self.borne}; this is {serial}")


def version_key(version: str) -> tuple[tuple[int, ...], int, tuple[str, ...]]:
    """Orders versions as people do: 0.9 < 0.10rc1 < 0.10 < 0.10+2. Raises BundleError without a number."""
    match = _VERSION.match(version.strip().lower())
    if match is None:
        raise BundleError(f"version {version!r} does not start with a number, like 1.4.0")
    release = [int(part) for part in match[1].split(".")]
    while release and release[-1] == 0:
        release.pop()
    rest = match[2]
    # Letters after the number come before the release (rc, beta, dev); what follows a plus comes after it.
    rank = 1 if not rest else 2 if rest.startswith("+") else 0
    parts = re.findall(r"\d+|[a-z]+", rest)
    return tuple(release), rank, tuple(part.rjust(8, "0") if part.isdigit() else part for part in parts)


class _Frugal(gzip.GzipFile):
    """Reads no more at once than a manifest may have: a header that nobody signed may announce any length."""

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= MANIFEST_MAX:
            raise tarfile.ReadError(f"a header announces {size} bytes")
        return super().read(size)


def write(path: Path, manifest: Manifest, contents: Mapping[str, bytes | Path], key: Ed25519PrivateKey) -> None:
    """Write a bundle; the same contents and key give the same bytes. `contents` has every file of the manifest."""
    text = json.dumps(asdict(manifest), sort_keys=True, separators=(",", ":")).encode()
    with (
        path.open("wb") as raw,
        gzip.GzipFile(fileobj=raw, mode="wb", filename="", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        _add(tar, MANIFEST, text)
        _add(tar, SIGNATURE, key.sign(text))
        for entry in manifest.files:
            content = contents[entry.name]
            _add(tar, entry.name, content if isinstance(content, bytes) else content.read_bytes(), entry.mode)


def _add(tar: tarfile.TarFile, name: str, data: bytes, mode: int = 0o644) -> None:
    member = tarfile.TarInfo(f"files/{name}" if name not in (MANIFEST, SIGNATURE) else name)
    member.size, member.mode, member.mtime = len(data), mode, 0
    tar.addfile(member, io.BytesIO(data))


def entries(contents: Mapping[str, bytes | Path]) -> tuple[Entry, ...]:
    """The manifest's list for these files, in order of name; a file that may be executed keeps that."""
    out = []
    for name, content in sorted(contents.items()):
        data = content if isinstance(content, bytes) else content.read_bytes()
        runs = isinstance(content, Path) and os.access(content, os.X_OK)
        out.append(Entry(name, len(data), hashlib.sha256(data).hexdigest(), 0o755 if runs else 0o644))
    return tuple(out)


def units_number(folder: Path) -> int:
    """What the file there says; 0 without one, as before there were numbers. Raises BundleError."""
    try:
        return int((folder / UNITS).read_text(encoding="ascii"))
    except FileNotFoundError:
        return 0
    except ValueError as error:
        raise BundleError(f"{folder / UNITS} has no number in it: install the package again") from error


def read_manifest(path: Path, keys: Iterable[Ed25519PublicKey]) -> Manifest:
    """The manifest, once its signature has been checked. Raises BundleError."""
    try:
        with _Frugal(path) as packed, tarfile.open(fileobj=packed, mode="r:") as tar:
            return _manifest(tar, tuple(keys), path.name)
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise _broken(path, error) from error


def extract(path: Path, keys: Iterable[Ed25519PublicKey], target: Path) -> Manifest:
    """Check the bundle and lay its files into the empty directory `target`. Raises BundleError, halfway too.

    Every file is flushed to the disk: what is named by a switch afterwards must survive a power cut.
    """
    try:
        with _Frugal(path) as packed, tarfile.open(fileobj=packed, mode="r:") as tar:
            manifest = _manifest(tar, tuple(keys), path.name)
            for entry in manifest.files:
                _extract(tar, entry, target, path.name)
            if tar.next() is not None:
                raise BundleError(f"{path.name} holds more than its manifest lists")
            while packed.read(_CHUNK):
                pass  # to the end, where gzip's own checksum stands
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise _broken(path, error) from error
    return manifest


def _broken(path: Path, error: Exception) -> BundleError:
    if isinstance(error, FileNotFoundError):
        return BundleError(f"{path} does not exist")
    if isinstance(error, OSError) and not isinstance(error, gzip.BadGzipFile):
        return BundleError(f"{path.name} cannot be read or laid out: {error}")
    return BundleError(f"{path.name} is no whole bundle, it may have been cut short ({error}); copy it again")


def _manifest(tar: tarfile.TarFile, keys: tuple[Ed25519PublicKey, ...], name: str) -> Manifest:
    text = _member(tar, MANIFEST, MANIFEST_MAX, name)
    signature = _member(tar, SIGNATURE, 64, name)
    if not keys:
        raise BundleError("no trusted key is installed: put the signer's public key into /etc/chargepoint/trusted-keys")
    if not any(_signed(key, signature, text) for key in keys):
        raise BundleError(f"the signature of {name} is not from a trusted key")
    try:
        manifest = msgspec.json.decode(text, type=Manifest)
    except msgspec.DecodeError as error:
        raise BundleError(f"the manifest of {name} cannot be read: {error}") from error
    if manifest.format != FORMAT:
        raise BundleError(f"{name} has format {manifest.format}; this version reads format {FORMAT}")
    for entry in manifest.files:
        _check_name(entry)
    return manifest


def _signed(key: Ed25519PublicKey, signature: bytes, text: bytes) -> bool:
    try:
        key.verify(signature, text)
    except InvalidSignature:
        return False
    return True


def _member(tar: tarfile.TarFile, wanted: str, limit: int, name: str) -> bytes:
    member = tar.next()
    if member is None or member.name != wanted or not member.isreg() or member.size > limit:
        raise BundleError(f"{name} is not a bundle: {wanted} is missing or too large")
    return _read(tar, member, name).read(limit)


def _read(tar: tarfile.TarFile, member: tarfile.TarInfo, name: str) -> IO[bytes]:
    stream = tar.extractfile(member)
    if stream is None:
        raise BundleError(f"{member.name} in {name} is not a plain file")
    return stream


def _check_name(entry: Entry) -> None:
    path = PurePosixPath(entry.name)
    if path.is_absolute() or ".." in path.parts or not path.parts or entry.mode not in _MODES:
        raise BundleError(f"the manifest lists {entry.name!r} with mode {entry.mode:o}, which is not allowed")


def _extract(tar: tarfile.TarFile, entry: Entry, target: Path, name: str) -> None:
    member = tar.next()
    if member is None or member.name != f"files/{entry.name}" or not member.isreg() or member.size != entry.size:
        found = "nothing" if member is None else member.name
        raise BundleError(f"{name} is damaged: {entry.name} was expected, {found} is there")
    source = _read(tar, member, name)
    out = target / entry.name
    out.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with out.open("wb") as file:
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    if digest.hexdigest() != entry.sha256:
        raise BundleError(f"{entry.name} in {name} is not what was signed")
    out.chmod(entry.mode)


def load_public(path: Path) -> Ed25519PublicKey:
    """A trusted key from a PEM file. Raises BundleError."""
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} is no public key: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise BundleError(f"{path} is not an Ed25519 key")
    return key


def load_private(path: Path) -> Ed25519PrivateKey:
    """The signer's key from a PEM file without a pass phrase. Raises BundleError."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise BundleError(f"{path} is no private key without a pass phrase: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise BundleError(f"{path} is not an Ed25519 key")
    return key


def trusted(folder: Path) -> tuple[Ed25519PublicKey, ...]:
    """Every key of the folder. Raises BundleError when one of them cannot be read."""
    return tuple(load_public(path) for path in sorted(folder.glob("*.pem")))


def make_keys(folder: Path) -> tuple[Path, Path]:
    """A new signing pair: `signing.key` (0600, office) and `signing.pem` (bornes). Never overwrites."""
    private, public = folder / "signing.key", folder / "signing.pem"
    if private.exists():
        raise BundleError(f"{private} exists already; remove it yourself if it is to be replaced")
    key = Ed25519PrivateKey.generate()
    folder.mkdir(parents=True, exist_ok=True)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write_private(private, pem)
    public.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return private, public


def write_private(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a secret so that it never stands readable, not for an instant."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(handle, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(data)
