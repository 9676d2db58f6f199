"""Certificates and keys of the OCPP link, kept in the journal; private keys never leave it but into TLS.

The central system's and the manufacturer's roots, the charge point's own certificates with their keys, and the key of
a request that waits for its certificate. `cryptography` is imported only when a certificate has to be read.
"""

import hashlib
import sqlite3
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Final

import structlog

from chargepoint.journal import store
from chargepoint.journal.journal import Journal

AREA: Final = "certificates"
STORE_MAX: Final = 10
"""CertificateStoreMaxLength: roots of both kinds together."""
CHAIN_MAX: Final = 10_000
"""CertificateSignedMaxChainSize, characters."""
OLD_KEPT_S: Final = 30 * 86_400
"""A replaced certificate of ours stays as a fallback for so long (A02.FR.10)."""

log = structlog.get_logger("ocpp.certificates")


class Use(StrEnum):
    """What a root is for (CertificateUseEnumType)."""

    CENTRAL_SYSTEM = "CentralSystemRootCertificate"
    MANUFACTURER = "ManufacturerRootCertificate"


class Verdict(StrEnum):
    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    FAILED = "Failed"
    NOT_FOUND = "NotFound"


@dataclass(frozen=True, slots=True)
class Root:
    """An installed root. `fallback`: replaced, and kept until its successor has proved itself (M05.FR.11)."""

    use: Use
    pem: str
    hash_data: tuple[dict[str, str], ...]
    not_after: float
    fallback: bool = False


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate chain of ours with its key, PEM."""

    chain: str
    key: str
    not_before: float
    not_after: float


class TrustStore:
    """Everything in memory, every change durable before it counts."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._roots: list[Root] = []
        self._identities: list[Identity] = []
        self._pending: list[str] = []
        self.revocations = ""
        """PEM lists of certificates the manufacturer has revoked."""

    async def load(self, provisioned: str, now: float) -> None:
        """Read the journal. `provisioned` (PEM, may be empty): roots of the configuration file, taken in once."""
        kept = await self._journal.read(lambda db: store.items(db, AREA))
        roots = [_root(data) for data in kept.get("roots", [])]
        self._roots = [root for root in roots if root is not None]
        identities = [store.record(Identity, data, "a certificate of ours") for data in kept.get("identities", [])]
        self._identities = [identity for identity in identities if identity is not None]
        self._pending = kept.get("pending", [])
        digest = hashlib.sha256(provisioned.encode()).hexdigest()
        if provisioned and kept.get("provisioned") != digest and await self._take_in(provisioned, now):
            await self._journal.write(lambda db: store.put(db, AREA, "provisioned", digest))

    async def _take_in(self, provisioned: str, now: float) -> bool:
        """Whether any root was taken in. One whose time has not come is: at a first start the clock may be behind, and
        at each connection the period is looked at again."""
        from chargepoint.ocpp.certificates import BadCertificate, read, write

        try:
            pems = [write([one]) for one in read(provisioned)]
        except BadCertificate as error:
            log.error("the file of provisioned roots cannot be read", reason=str(error))
            return False
        verdicts = [await self.install(Use.CENTRAL_SYSTEM, p, now, additional_check=False, early=True) for p in pems]
        return Verdict.ACCEPTED in verdicts

    # --- roots -------------------------------------------------------------------------------------------------------

    def roots(self, use: Use) -> list[Root]:
        """Installed roots of that use, fall-backs included."""
        return [root for root in self._roots if root.use is use]

    def trust(self, *, with_fallback: bool) -> str:
        """PEM of the roots the central system's certificate may lead to."""
        roots = self.roots(Use.CENTRAL_SYSTEM)
        return "".join(root.pem for root in roots if with_fallback or not root.fallback)

    async def install(self, use: Use, pem: str, now: float, *, additional_check: bool, early: bool = False) -> Verdict:
        """Install a root; one that is there already is accepted again. `early`: one whose time has not come as well."""
        from chargepoint.ocpp import certificates as x

        try:
            (certificate, *rest) = x.read(pem)
            if rest:
                raise x.BadCertificate("one certificate at a time is installed")
            issuers = [x.read(root.pem)[0] for root in self.roots(use)]
            known = x.facts(certificate, x.check_root(certificate, issuers, now, early=early))
        except x.BadCertificate as error:
            log.warning("root refused", use=use.value, reason=str(error))
            return Verdict.REJECTED
        text = x.write([certificate])
        if any(root.use is use and root.pem == text and not root.fallback for root in self._roots):
            return Verdict.ACCEPTED
        root = Root(use, text, tuple(asdict(data) for data in known.hash_data), known.not_after)
        old = [other for other in self._roots if other.pem != text or other.use is not use]
        if additional_check and use is Use.CENTRAL_SYSTEM and self.roots(use):
            present = next(other for other in self.roots(use) if not other.fallback)
            if not x.is_issued_by(certificate, x.read(present.pem)[0]):
                log.warning("root refused", use=use.value, reason="it is not signed by the one it replaces")
                return Verdict.REJECTED
            others = [other for other in old if other.use is not use]
            old = [*others, Root(use, present.pem, present.hash_data, present.not_after, fallback=True)]
        elif len(self._roots) >= STORE_MAX:
            log.warning("root refused", use=use.value, reason=f"{STORE_MAX} are installed, no more fit in")
            return Verdict.REJECTED
        await self._keep_roots([*old, root])
        return Verdict.ACCEPTED

    async def delete(self, wanted: dict[str, str], peer: bytes | None) -> Verdict:
        """Delete a root by its hash data; not the one the present connection rests on.

        `peer`: the central system's certificate (DER) while the connection is TLS.
        """
        named = {key: value.lower().lstrip("0") if key == "serial" else value.lower() for key, value in wanted.items()}
        found = next((root for root in self._roots if any(_same(data, named) for data in root.hash_data)), None)
        if found is None:
            return Verdict.NOT_FOUND
        if found.use is Use.CENTRAL_SYSTEM and peer is not None and self._rests_on(found, peer):
            log.warning("root not deleted", reason="the connection to the central system rests on it")
            return Verdict.FAILED
        await self._keep_roots([root for root in self._roots if root is not found])
        return Verdict.ACCEPTED

    def _rests_on(self, root: Root, peer: bytes) -> bool:
        """Whether no other root would do for the certificate of the central system."""
        from chargepoint.ocpp import certificates as x

        others = [other for other in self.roots(Use.CENTRAL_SYSTEM) if other is not root]
        certificate = x.read_der(peer)
        return not any(x.is_issued_by(certificate, x.read(other.pem)[0]) for other in others)

    async def drop_fallback(self) -> None:
        """The successor has proved itself (M05.FR.12)."""
        if any(root.fallback for root in self._roots):
            await self._keep_roots([root for root in self._roots if not root.fallback])

    async def _keep_roots(self, roots: list[Root]) -> None:
        await self._journal.write(lambda db: store.put(db, AREA, "roots", [asdict(root) for root in roots]))
        self._roots = roots

    # --- our own certificate -------------------------------------------------------------------------------------

    def identity(self, now: float, *, older: int = 0) -> Identity | None:
        """The newest certificate of ours that is valid now (A02.FR.09); `older`: so many steps back, as fall-back."""
        valid = [one for one in self._identities if one.not_before <= now < one.not_after]
        valid.sort(key=lambda one: -one.not_before)
        return valid[older % len(valid)] if valid else None

    async def provision(self, chain: str, key: str) -> None:
        """Take in a certificate that came with the device."""
        if any(one.chain == chain for one in self._identities):
            return
        from chargepoint.ocpp import certificates as x

        try:
            certificate = x.read(chain)[0]
        except x.BadCertificate as error:
            log.error("the provisioned certificate cannot be read", reason=str(error))
            return
        await self._keep_identity(Identity(chain, key, *_period(certificate)), pending=self._pending)

    async def request(self, common_name: str, organisation: str) -> str:
        """A signing request for a fresh key, which waits here for its certificate."""
        from chargepoint.ocpp import certificates as x

        key = x.new_key()
        pending = [*self._pending, key][-3:]
        await self._journal.write(lambda db: store.put(db, AREA, "pending", pending))
        self._pending = pending
        return x.request(key, common_name, organisation)

    async def signed(self, chain: str, now: float) -> None:
        """Take in the certificate for a key that waits. Raises ValueError with the reason when it is not right."""
        from chargepoint.ocpp import certificates as x

        certificates = x.read(chain)
        key = next((key for key in self._pending if x.belongs(certificates[0], key)), None)
        if key is None:
            raise x.BadCertificate("it is not for a key of this charge point that waits for its certificate")
        roots = [x.read(root.pem)[0] for root in self.roots(Use.CENTRAL_SYSTEM)]
        x.check_chain(certificates, roots, now, early=True)
        pending = [other for other in self._pending if other != key]
        await self._keep_identity(Identity(chain, key, *_period(certificates[0])), pending)
        self._pending = pending

    async def _keep_identity(self, new: Identity, pending: list[str]) -> None:
        horizon = new.not_before - OLD_KEPT_S
        identities = [*(one for one in self._identities if one.not_after > horizon), new][-4:]
        data = [asdict(one) for one in identities]

        def write(db: sqlite3.Connection) -> None:
            store.put(db, AREA, "identities", data)
            store.put(db, AREA, "pending", pending)

        await self._journal.write(write)
        self._identities = identities


def _root(data: Any) -> Root | None:
    root = store.record(Root, data, "a root certificate")
    try:
        return root and replace(root, use=Use(root.use), hash_data=tuple(root.hash_data))
    except ValueError as error:
        log.warning("a root certificate is for a use that is not known, and is left out", error=str(error))
        return None


def _same(data: dict[str, str], wanted: dict[str, str]) -> bool:
    return all(data[key].lower().lstrip("0" if key == "serial" else "") == value for key, value in wanted.items())


def _period(certificate: Any) -> tuple[float, float]:
    return certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()
