"""X.509 as OCPP uses it: reading, identifying, judging, requesting. Pure functions over PEM text.

The only module of the room that imports `cryptography`, which is large: import this one where and when it is needed.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

HASHES: dict[str, hashes.HashAlgorithm] = {
    "SHA256": hashes.SHA256(),
    "SHA384": hashes.SHA384(),
    "SHA512": hashes.SHA512(),
}
_CRL = "X509 CRL"
MIN_RSA_BITS = 2048
MIN_EC_BITS = 224
"""White paper, A00.FR.502 and A00.FR.503."""


class BadCertificate(ValueError):
    """A certificate, chain or signature that cannot be accepted; the sentence says why."""


class Revoked(BadCertificate):
    """The issuer has withdrawn the certificate."""


@dataclass(frozen=True, slots=True)
class HashData:
    """How OCPP names a certificate (CertificateHashDataType)."""

    algorithm: str
    issuer_name: str
    issuer_key: str
    serial: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What is kept beside a certificate, so that it need not be read again."""

    hash_data: tuple[HashData, ...]
    not_before: float
    not_after: float
    subject: str


def read(pem: str) -> list[x509.Certificate]:
    """All certificates of a PEM text. Raises BadCertificate when there is none or one cannot be read."""
    try:
        return x509.load_pem_x509_certificates(pem.encode())
    except ValueError as error:
        raise BadCertificate(f"not a certificate in PEM form: {error}") from error


def read_der(der: bytes) -> x509.Certificate:
    """A certificate as TLS shows it. Raises BadCertificate."""
    try:
        return x509.load_der_x509_certificate(der)
    except ValueError as error:
        raise BadCertificate(f"not a certificate in DER form: {error}") from error


def write(certificates: Iterable[x509.Certificate]) -> str:
    """PEM text."""
    return "".join(one.public_bytes(serialization.Encoding.PEM).decode() for one in certificates)


def facts(certificate: x509.Certificate, issuer: x509.Certificate) -> Facts:
    """What names a certificate, under every hash algorithm OCPP knows."""
    return Facts(
        tuple(_hash_data(name, certificate, issuer) for name in HASHES),
        certificate.not_valid_before_utc.timestamp(),
        certificate.not_valid_after_utc.timestamp(),
        certificate.subject.rfc4514_string(),
    )


def _hash_data(name: str, certificate: x509.Certificate, issuer: x509.Certificate) -> HashData:
    def digest(data: bytes) -> str:
        context = hashes.Hash(HASHES[name])
        context.update(data)
        return context.finalize().hex()

    return HashData(
        name,
        digest(certificate.issuer.public_bytes()),
        digest(_key_bits(issuer)),
        f"{certificate.serial_number:x}",
    )


def _key_bits(certificate: x509.Certificate) -> bytes:
    """The subject public key without tag and length (RFC 6960, 4.1.1)."""
    key = certificate.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    if isinstance(key, rsa.RSAPublicKey):
        return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)
    raise BadCertificate(f"{type(key).__name__} is not a kind of key that is used here; use EC or RSA")


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether the issuer's key signed it."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def check(certificate: x509.Certificate, now: float, *, authority: bool, early: bool = False) -> None:
    """Raise BadCertificate unless its period (a later start is well with `early`), key and use are right."""
    at = datetime.fromtimestamp(now, UTC)
    if certificate.not_valid_after_utc <= at:
        raise BadCertificate(f"expired on {certificate.not_valid_after_utc:%Y-%m-%d}")
    if certificate.not_valid_before_utc > at and not early:
        raise BadCertificate(f"not valid before {certificate.not_valid_before_utc:%Y-%m-%d}")
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        strong = key.key_size >= MIN_RSA_BITS
    else:
        strong = isinstance(key, ec.EllipticCurvePublicKey) and key.key_size >= MIN_EC_BITS
    if not strong:
        raise BadCertificate("its key is too short or of a kind that is not used here")
    try:
        is_authority = bool(certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except x509.ExtensionNotFound:
        is_authority = False
    except ValueError as error:
        raise BadCertificate(f"its extensions cannot be read: {error}") from error
    if authority and not is_authority:
        raise BadCertificate("it is not the certificate of an authority")


def check_root(
    certificate: x509.Certificate, present: list[x509.Certificate], now: float, *, early: bool = False
) -> x509.Certificate:
    """Its issuer: itself, or one of those that are `present`. Raises BadCertificate unless it can be a root."""
    check(certificate, now, authority=True, early=early)
    for issuer in (certificate, *present):
        if is_issued_by(certificate, issuer):
            return issuer
    raise BadCertificate("it is neither self-signed nor signed by an installed one")


def check_chain(chain: list[x509.Certificate], roots: list[x509.Certificate], now: float, *, early: bool) -> None:
    """Raise BadCertificate unless the leaf (first) leads over the others to one of the roots."""
    check(chain[0], now, authority=False, early=early)
    current, rest = chain[0], chain[1:]
    while True:
        for root in roots:
            if current == root or is_issued_by(current, root):
                check(root, now, authority=True)
                return
        above = next((one for one in rest if is_issued_by(current, one)), None)
        if above is None:
            raise BadCertificate(f"{current.issuer.rfc4514_string()} leads to no installed root")
        check(above, now, authority=True)
        rest = [one for one in rest if one is not above]
        current = above


def revocation_lists(pems: str) -> Iterator[x509.CertificateRevocationList]:
    """All lists of revoked certificates (CRL) of a PEM text. Raises BadCertificate when one cannot be read."""
    for pem in re.findall(f"-----BEGIN {_CRL}-----.*?-----END {_CRL}-----", pems, re.DOTALL):
        try:
            yield x509.load_pem_x509_crl(pem.encode())
        except ValueError as error:
            raise BadCertificate(f"a list of revoked certificates cannot be read: {error}") from error


def check_not_revoked(certificate: x509.Certificate, issuers: list[x509.Certificate], lists: str) -> None:
    """Raise Revoked when a list (PEM, any number) that its issuer has signed names the certificate.

    A list that cannot be read, or that its issuer has not signed, raises BadCertificate: nobody shall get round a
    revocation by spoiling the list. An old list still counts; a newer one can only name more.
    """
    for crl in revocation_lists(lists):
        if crl.issuer != certificate.issuer:
            continue
        if not any(crl.is_signature_valid(issuer.public_key()) for issuer in issuers):  # type: ignore[arg-type]
            raise BadCertificate("the list of revoked certificates is not signed by an installed root")
        if crl.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None:
            raise Revoked(
                f"{certificate.issuer.rfc4514_string()} has revoked it (list of {crl.last_update_utc:%Y-%m-%d})"
            )


def new_key() -> str:
    """A fresh P-256 key, PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def request(key_pem: str, common_name: str, organisation: str) -> str:
    """A certificate signing request in PEM, for a key of ours."""
    key = serialization.load_pem_private_key(key_pem.encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    subject = x509.Name(
        [
            x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name),
            x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, organisation),
        ]
    )
    built = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return built.public_bytes(serialization.Encoding.PEM).decode()


def belongs(certificate: x509.Certificate, key_pem: str) -> bool:
    """Whether the certificate is for this private key."""
    key = serialization.load_pem_private_key(key_pem.encode(), None)
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return key.public_key().public_bytes(*form) == certificate.public_key().public_bytes(*form)


def check_signature(certificate: x509.Certificate, digest: bytes, signature_base64: str) -> None:
    """Raise BadCertificate unless the signature (RSA-PSS or ECDSA, over SHA-256) is that of the key."""
    algorithm = Prehashed(hashes.SHA256())
    key = certificate.public_key()
    try:
        signature = base64.b64decode(signature_base64, validate=True)
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, digest, ec.ECDSA(algorithm))
        elif isinstance(key, rsa.RSAPublicKey):
            pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.AUTO)
            key.verify(signature, digest, pss, algorithm)
        else:
            raise BadCertificate("a key of this kind signs no firmware")
    except binascii.Error as error:
        raise BadCertificate("the signature is not in Base64") from error
    except InvalidSignature as error:
        raise BadCertificate("the signature is not that of the signing certificate") from error
