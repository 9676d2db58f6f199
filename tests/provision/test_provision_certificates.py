"""Client certificates of security profile 3: requested by one run, signed elsewhere, brought by the next one."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from provision_rig import borne, make

from chargepoint.config_check import parse
from chargepoint.ocpp import certificates
from chargepoint.provision import command
from chargepoint.update import bundle

AUTHORITY = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """The run that makes the requests."""
    pytest.importorskip("segno", reason="segno is not installed (extra provision)")
    bundle.make_keys(tmp_path / "keys")
    assert make(tmp_path) == 0
    (tmp_path / "signed").mkdir()
    return (tmp_path / "out").rename(tmp_path / "first")


def signed(first: Path, serial: str, name: str | None = None, days: int = 300) -> None:
    """What an authority returns for a request."""
    request = x509.load_pem_x509_csr((first / f"requests/{serial}.csr").read_bytes())
    now = datetime.now(UTC)
    given = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) if name else request.subject
    certificate = (
        x509.CertificateBuilder()
        .subject_name(given)
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Authority")]))
        .public_key(request.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=400))
        .not_valid_after(now + timedelta(days=days))
        .sign(AUTHORITY, hashes.SHA256())
    )
    (first.parent / f"signed/{serial}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def again(tmp_path: Path, *words: str) -> int:
    return make(tmp_path, "--earlier", str(tmp_path / "first"), *words)


def with_certificates(tmp_path: Path) -> int:
    return again(tmp_path, "--security-profile", "3", "--certificates", str(tmp_path / "signed"))


def test_a_bundle_for_profile_3_brings_the_certificate_of_its_own_key(tmp_path: Path, first: Path) -> None:
    for serial in ("ARD-0001", "ARD-0002"):
        signed(first, serial)
    assert with_certificates(tmp_path) == 0
    etc = borne(tmp_path)
    assert command.main(["apply", str(tmp_path / "out/bundles/ARD-0002.bundle"), "--etc", str(etc)], tmp_path) == 0
    ocpp = parse((etc / "chargepoint.toml").read_text()).ocpp
    assert ocpp.security_profile == 3
    assert ocpp.client_certificate_file == Path("/etc/chargepoint/client.pem")
    assert ocpp.client_key_file == Path("/etc/chargepoint/client-key.pem")
    (certificate,) = certificates.read((etc / "client.pem").read_text())
    assert certificates.belongs(certificate, (etc / "client-key.pem").read_text())
    assert (etc / "client.pem").read_bytes() == (tmp_path / "signed/ARD-0002.pem").read_bytes()
    assert (tmp_path / "out/secrets.csv").read_text() == (first / "secrets.csv").read_text()


def test_a_certificate_that_is_missing_or_does_not_fit_is_named_with_its_line_and_makes_nothing(
    tmp_path: Path, first: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "signed"
    signed(first, "ARD-0002")
    (folder / "ARD-0002.pem").rename(folder / "ARD-0001.pem")
    assert with_certificates(tmp_path) == 1
    said = capsys.readouterr().err
    assert "2 mistakes" in said
    assert f"line 2: {folder}/ARD-0001.pem does not fit: it is not for the key of this borne's request" in said
    assert f"line 3: {folder}/ARD-0002.pem is missing: have requests/ARD-0002.csr signed" in said
    signed(first, "ARD-0001", name="ARD-0003")
    signed(first, "ARD-0002", days=-1)
    assert with_certificates(tmp_path) == 1
    said = capsys.readouterr().err
    assert "line 2: " in said and "its common name is ['ARD-0003'], not the serial ARD-0001" in said
    assert "line 3: " in said and "ARD-0002.pem does not fit: expired on" in said
    (folder / "ARD-0002.pem").write_text("nothing")
    assert with_certificates(tmp_path) == 1
    assert "ARD-0002.pem does not fit: not a certificate in PEM form" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_profile_3_without_certificates_is_refused_with_the_way_there(
    tmp_path: Path, first: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert make(tmp_path, "--security-profile", "3") == 1
    assert "security profile 3 needs --certificates: make with profile 2" in capsys.readouterr().err
    assert make(tmp_path, "--certificates", str(tmp_path / "signed")) == 1
    assert "--certificates needs --earlier" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_borne_that_the_earlier_run_did_not_make_is_named_with_its_line(
    tmp_path: Path, first: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = (first / "secrets.csv").read_text().splitlines(keepends=True)
    (first / "secrets.csv").write_text("".join(rows[:2]))
    (first / "bundles/ARD-0001.bundle").unlink()
    assert again(tmp_path) == 1
    said = capsys.readouterr().err
    assert "line 2: " in said and "bundles/ARD-0001.bundle does not exist" in said
    assert "line 3: " in said and "secrets.csv has no borne ARD-0002" in said


def root(name: str, issuer: str, *, ca: bool = True) -> str:
    """A certificate with the authority's key, by which it is signed as well."""
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(AUTHORITY.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=400))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .sign(AUTHORITY, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


@pytest.mark.parametrize(
    ("roots", "why"),
    [
        (root("Operator", "Operator", ca=False), "CN=Operator: "),
        (root("Below", "Operator"), "CN=Below: it is neither self-signed nor signed by an installed one"),
        (root("Below", "Operator") + root("Operator", "Operator"), "CN=Below: it is neither"),
    ],
)
def test_roots_that_a_borne_would_not_take_in_make_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], roots: str, why: str
) -> None:
    bundle.make_keys(tmp_path / "keys")
    (tmp_path / "ca.pem").write_text(roots)
    assert make(tmp_path, "--ca", str(tmp_path / "ca.pem")) == 1
    assert why in capsys.readouterr().err


def test_a_root_and_what_it_signed_are_taken_in_that_order(tmp_path: Path) -> None:
    bundle.make_keys(tmp_path / "keys")
    (tmp_path / "ca.pem").write_text(root("Operator", "Operator") + root("Below", "Operator"))
    assert make(tmp_path, "--ca", str(tmp_path / "ca.pem")) == 0
