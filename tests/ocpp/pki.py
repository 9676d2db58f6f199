"""A small certificate authority for tests."""

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa


class Authority:
    """A root; `issue` gives certificates it has signed."""

    def __init__(self, name="Root", parent=None, key=None, days=(-1, 300), ca=True):
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.certificate = build(self.name, self.key.public_key(), parent or self, days, ca)
        self.pem = pem(self.certificate)

    def issue(self, name, key=None, days=(-1, 60), host=None):
        """A certificate and its private key, PEM."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        return pem(build(subject, key.public_key(), self, days, False, host)), private_pem(key)

    def revoke(self, *pems):
        """A list that names these certificates as revoked, PEM."""
        now = datetime.now(UTC)
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.name).last_update(now)
        builder = builder.next_update(now + timedelta(days=30))
        for one in pems:
            serial = x509.load_pem_x509_certificate(one.encode()).serial_number
            revoked = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build()
            builder = builder.add_revoked_certificate(revoked)
        return pem(builder.sign(self.key, hashes.SHA256()))

    def sign(self, csr_pem, days=(-1, 300)):
        """The certificate for a signing request, PEM."""
        csr = x509.load_pem_x509_csr(csr_pem.encode())
        assert csr.is_signature_valid
        return pem(build(csr.subject, csr.public_key(), self, days, False))


def build(subject, public_key, issuer, days, ca, host=None):
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.name)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if host:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
    return builder.sign(issuer.key, hashes.SHA256())


def pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def private_pem(key):
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def weak_key():
    return rsa.generate_private_key(65537, 1024)
