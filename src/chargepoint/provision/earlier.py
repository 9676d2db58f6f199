"""What an earlier run has made for a borne, and the certificate that somebody has signed for its key since."""

import csv
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from chargepoint.ocpp import certificates
from chargepoint.provision.files import Secrets
from chargepoint.provision.fleet import Borne
from chargepoint.update import bundle
from chargepoint.update.bundle import BundleError


def secrets(folder: Path, borne: Borne, key: Ed25519PrivateKey) -> Secrets:
    """The borne's secrets of the run that made `folder`, signed by the same key. Raises BundleError, OSError."""
    with (folder / "secrets.csv").open(encoding="utf-8", newline="") as file:
        row = next((row for row in csv.DictReader(file) if row.get("serial") == borne.serial), None)
    if row is None:
        raise BundleError(f"{folder / 'secrets.csv'} has no borne {borne.serial}; leave it to a run of its own")
    with tempfile.TemporaryDirectory() as place:
        bundle.extract(folder / "bundles" / f"{borne.serial}.bundle", [key.public_key()], Path(place))
        client_key = (Path(place) / "client-key.pem").read_text(encoding="ascii")
    return Secrets(row["ocpp_password"], row["console_pin"], client_key)


def certificate(folder: Path, borne: Borne, client_key: str, now: float) -> str:
    """The borne's certificate, and what follows it in the file. Raises BundleError, OSError."""
    path = folder / f"{borne.serial}.pem"
    try:
        text = path.read_text(encoding="utf-8")
        first = certificates.read(text)[0]
        certificates.check(first, now, authority=False, early=True)
        if not certificates.belongs(first, client_key):
            raise certificates.BadCertificate("it is not for the key of this borne's request")
        names = [name.value for name in first.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        if names != [borne.serial]:
            raise certificates.BadCertificate(f"its common name is {names}, not the serial {borne.serial}")
    except FileNotFoundError:
        raise BundleError(f"{path} is missing: have requests/{borne.serial}.csr signed") from None
    except ValueError as error:
        raise BundleError(f"{path} does not fit: {error}") from error
    return text
