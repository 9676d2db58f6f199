"""A bundle is whole, for this borne and signed by a trusted key, or it is refused with the reason."""

import gzip
import io
import itertools
import json
import tarfile
import tracemalloc
from dataclasses import asdict
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from chargepoint.update import bundle
from chargepoint.update.bundle import BundleError, Entry, Manifest, version_key

KEY = Ed25519PrivateKey.generate()
TRUSTED = (KEY.public_key(),)
FILES: dict[str, bytes | Path] = {"bin/chargepoint": b"#!/bin/sh\n", "lib/a/b.txt": b"x" * 100_000}


def made(path: Path, key: Ed25519PrivateKey = KEY, manifest: Manifest | None = None) -> Path:
    bundle.write(path, manifest or Manifest("update", "", "1.4.0", bundle.entries(FILES)), FILES, key)
    return path


def test_what_was_packed_comes_out(tmp_path: Path) -> None:
    out = tmp_path / "out"
    manifest = bundle.extract(made(tmp_path / "b"), TRUSTED, out)
    assert manifest.version == "1.4.0"
    assert {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()} == FILES


def test_the_same_contents_make_the_same_bytes(tmp_path: Path) -> None:
    assert made(tmp_path / "a").read_bytes() == made(tmp_path / "b").read_bytes()


def test_a_key_that_is_not_trusted_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="not from a trusted key"):
        bundle.read_manifest(made(tmp_path / "b", Ed25519PrivateKey.generate()), TRUSTED)


def test_a_second_key_is_trusted_beside_the_first_which_counts_until_it_is_removed(tmp_path: Path) -> None:
    old, new = (bundle.make_keys(tmp_path / name) for name in ("old", "new"))
    folder = tmp_path / "trusted-keys"
    folder.mkdir()
    signed = [made(tmp_path / f"b{n}", bundle.load_private(private)) for n, (private, _) in enumerate((old, new))]
    (folder / "office.pem").write_bytes(old[1].read_bytes())
    with pytest.raises(BundleError, match="the signature of b1 is not from a trusted key"):
        bundle.read_manifest(signed[1], bundle.trusted(folder))
    (folder / "office-2027.pem").write_bytes(new[1].read_bytes())
    assert [bundle.read_manifest(path, bundle.trusted(folder)).version for path in signed] == ["1.4.0", "1.4.0"]
    (folder / "office.pem").unlink()
    assert bundle.read_manifest(signed[1], bundle.trusted(folder)).version == "1.4.0"
    with pytest.raises(BundleError, match="the signature of b0 is not from a trusted key"):
        bundle.read_manifest(signed[0], bundle.trusted(folder))
    (folder / "notes.pem").write_text("not a key")
    with pytest.raises(BundleError, match=r"notes\.pem is no public key"):
        bundle.trusted(folder)


def test_a_borne_without_trusted_keys_says_where_they_go(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="trusted-keys"):
        bundle.read_manifest(made(tmp_path / "b"), ())


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9, 0.999])
def test_a_bundle_cut_short_is_refused(tmp_path: Path, share: float) -> None:
    whole = made(tmp_path / "b").read_bytes()
    (tmp_path / "cut").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(BundleError):
        bundle.extract(tmp_path / "cut", TRUSTED, tmp_path / "out")


@settings(max_examples=40, deadline=None)
@given(place=st.floats(0, 0.999), bit=st.integers(0, 7))
def test_a_flipped_bit_is_refused_or_harmless(tmp_path_factory: pytest.TempPathFactory, place: float, bit: int) -> None:
    folder = tmp_path_factory.mktemp("flip")
    data = bytearray(made(folder / "b").read_bytes())
    data[int(place * len(data))] ^= 1 << bit
    (folder / "bad").write_bytes(bytes(data))
    out = folder / "out"
    try:
        bundle.extract(folder / "bad", TRUSTED, out)
    except BundleError:
        return
    # A bit of gzip's own header may mean nothing: then everything came out as it was signed.
    assert (out / "lib/a/b.txt").read_bytes() == FILES["lib/a/b.txt"]


def test_a_changed_file_under_a_good_manifest_is_refused(tmp_path: Path) -> None:
    other = {**FILES, "lib/a/b.txt": b"y" * 100_000}
    bundle.write(tmp_path / "b", Manifest("update", "", "1.4.0", bundle.entries(FILES)), other, KEY)
    with pytest.raises(BundleError, match=r"b\.txt .* is not what was signed"):
        bundle.extract(tmp_path / "b", TRUSTED, tmp_path / "out")


def test_a_file_beside_the_manifest_is_refused(tmp_path: Path) -> None:
    with gzip.open(made(tmp_path / "b")) as packed:
        tar_bytes = packed.read()
    buffer = io.BytesIO(tar_bytes)
    with tarfile.open(fileobj=buffer, mode="a") as tar:
        tar.addfile(tarfile.TarInfo("files/extra"))
    (tmp_path / "more").write_bytes(gzip.compress(buffer.getvalue()))
    with pytest.raises(BundleError, match="more than its manifest"):
        bundle.extract(tmp_path / "more", TRUSTED, tmp_path / "out")


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "a/../../b", ""])
def test_a_path_out_of_the_target_is_refused_even_when_signed(tmp_path: Path, name: str) -> None:
    manifest = Manifest("update", "", "1.4.0", (Entry(name, 0, ""),))
    bundle.write(tmp_path / "b", manifest, {name: b""}, KEY)
    with pytest.raises(BundleError, match="not allowed"):
        bundle.read_manifest(tmp_path / "b", TRUSTED)


def test_what_is_no_bundle_at_all_is_refused(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"hello")
    with pytest.raises(BundleError, match="no whole bundle"):
        bundle.read_manifest(tmp_path / "b", TRUSTED)
    with pytest.raises(BundleError, match="does not exist"):
        bundle.read_manifest(tmp_path / "none", TRUSTED)


def test_versions_are_ordered_as_people_do() -> None:
    order = ["0.9", "0.10.0rc1", "0.10", "1.0.0.dev3", "1.0.0", "1.0.1", "1.1", "10.0"]
    assert sorted(order, key=version_key) == order
    assert version_key("1.0") == version_key("1.0.0")
    with pytest.raises(BundleError, match="does not start with a number"):
        version_key("latest")


def test_a_signing_pair_is_never_overwritten(tmp_path: Path) -> None:
    private, public = bundle.make_keys(tmp_path / "keys")
    assert private.stat().st_mode & 0o777 == 0o600
    made(tmp_path / "b", bundle.load_private(private))
    assert bundle.read_manifest(tmp_path / "b", [bundle.load_public(public)]).version == "1.4.0"
    with pytest.raises(BundleError, match="exists already"):
        bundle.make_keys(tmp_path / "keys")


def test_pre_releases_are_ordered_by_their_letters_and_numbers() -> None:
    for older, newer in itertools.pairwise(["1.4.0alpha3", "1.4.0beta1", "1.4.0rc2", "1.4.0rc10", "1.4.0"]):
        assert version_key(older) < version_key(newer)
    assert version_key("1.4.0.dev1") < version_key("1.4.0rc1")


def test_what_nobody_signed_cannot_fill_the_memory(tmp_path: Path) -> None:
    """A header of a tar archive may announce a name of any length, which would be read before any signature."""
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 256 << 20
    with gzip.open(tmp_path / "b", "wb") as packed:
        packed.write(header.tobuf(tarfile.GNU_FORMAT))
        for _ in range(256):
            packed.write(bytes(1 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(BundleError):
            bundle.read_manifest(tmp_path / "b", TRUSTED)
        with pytest.raises(BundleError):
            bundle.extract(tmp_path / "b", TRUSTED, tmp_path / "out")
        assert tracemalloc.get_traced_memory()[1] < 4 * bundle.MANIFEST_MAX
    finally:
        tracemalloc.stop()


def test_manifests_of_older_and_of_newer_programs_are_read(tmp_path: Path) -> None:
    for change in ({"needs_units": None}, {"later": 1}):
        manifest = asdict(Manifest("update", "", "1.4.0", ())) | change
        text = json.dumps({name: value for name, value in manifest.items() if value is not None}).encode()
        with tarfile.open(tmp_path / "b", "w:gz") as tar:
            for name, data in (("manifest.json", text), ("manifest.sig", KEY.sign(text))):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
        assert bundle.read_manifest(tmp_path / "b", (KEY.public_key(),)).needs_units == 0
