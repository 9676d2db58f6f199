"""The security extension (white paper, edition 3): credentials, certificates, and the events around them."""

import ssl
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import structlog
from ocpp.v16 import call, call_result
from ocpp.v16.enums import (
    Action,
    CertificateSignedStatus,
    CertificateStatus,
    DeleteCertificateStatus,
    GetInstalledCertificateStatus,
)
from websockets.exceptions import InvalidStatus

from chargepoint.config import Config
from chargepoint.journal.journal import Journal
from chargepoint.ocpp.access import MAX_KEY, MIN_KEY, Access, Credentials
from chargepoint.ocpp.connection import Endpoint, basic_password
from chargepoint.ocpp.rpc import Payload, on
from chargepoint.ocpp.truststore import TrustStore, Use, Verdict
from chargepoint.ocpp.v16.dialect import SUBPROTOCOL
from chargepoint.ocpp.v16.keys import ProtocolSettings

RENEW_BEFORE_S: Final = 30 * 86_400
"""A03.FR.02: a month before it expires."""
ASK_AGAIN_S: Final = 86_400

log = structlog.get_logger("ocpp.security")


class Security:
    """Credentials of the link, and the handlers of the certificate messages.

    `emit` reports a security event; `reconnect` makes the link connect anew soon; `send` sends a request and
    returns its answer, or None; `utc` is the present in seconds.
    """

    def __init__(
        self,
        config: Config,
        journal: Journal,
        protocol: ProtocolSettings,
        utc: Callable[[], float],
        emit: Callable[[str, str], None],
        reconnect: Callable[[], None],
        send: Callable[[Any], Awaitable[Payload | None]],
    ) -> None:
        self._config = config
        self._protocol = protocol
        self._utc = utc
        self._emit = emit
        self._reconnect = reconnect
        self._send = send
        self._access = Access(journal)
        self.trust = TrustStore(journal)
        self._tried = Credentials(0)
        self._with_fallback = False
        self._older = 0
        self._last_failure = ""
        self._asked_at: float | None = None
        self._chosen_at = 0.0
        """When the certificate of the present connection was chosen, UTC seconds."""
        self.peer: bytes | None = None
        """Certificate (DER) of the central system while the link is TLS."""

    async def load(self) -> None:
        """Read the journal; take in what the configuration file provides."""
        ocpp = self._config.ocpp
        key = _text(ocpp.password_file).strip() or str(ocpp.configuration.get("AuthorizationKey", ""))
        await self._access.load(Credentials(ocpp.security_profile, key))
        await self.trust.load(_text(ocpp.csms_ca_file), self._utc())
        self.trust.revocations = _text(ocpp.firmware_crl_file)
        chain, private = _text(ocpp.client_certificate_file), _text(ocpp.client_key_file)
        if chain and private:
            await self.trust.provision(chain, private)

    # --- the link ----------------------------------------------------------------------------------------------------

    def endpoint(self) -> Endpoint | None:
        """Where and how to connect next."""
        if not self._config.ocpp.url:
            return None
        self._tried = self._access.current()
        self._chosen_at = self._utc()
        identity = self.trust.identity(self._utc(), older=self._older) if self._tried.profile == 3 else None
        key = self._tried.key
        return Endpoint(
            url=self._config.ocpp.url,
            identity=self._config.station.id,
            subprotocol=SUBPROTOCOL,
            security_profile=self._tried.profile,
            password=basic_password(key, literal=self._protocol.key_is_text) if key else None,
            trust=self.trust.trust(with_fallback=self._with_fallback),
            certificate=identity.chain if identity else "",
            key=identity.key if identity else "",
        )

    def failed(self, error: BaseException) -> None:
        """The connection could not be made: choose what to try next, and note why, once per reason."""
        self._access.failed()
        kind = ""
        if isinstance(error, InvalidStatus):
            if error.response.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
                kind = "FailedToAuthenticationAtCentralSystem"
        elif isinstance(error, ssl.SSLCertVerificationError):
            kind = "InvalidCentralSystemCertificate"
            self._with_fallback = not self._with_fallback
        elif isinstance(error, ssl.SSLError):
            self._older += 1
            kind = "InvalidTLSVersion" if "VERSION" in (error.reason or "") else "InvalidTLSCipherSuite"
        if kind and kind != self._last_failure:
            self._emit(kind, str(error)[:255])
        self._last_failure = kind or self._last_failure

    async def connected(self, tls: Any) -> None:
        """The connection stands, over this `ssl` object (None: without TLS)."""
        self.peer = None if tls is None else tls.getpeercert(binary_form=True)
        self._last_failure = ""
        self._older = 0
        if tls is not None and not self._with_fallback:
            await self.trust.drop_fallback()
        self._with_fallback = False
        await self._access.connected(self._tried)

    # --- the keys ----------------------------------------------------------------------------------------------------

    @property
    def profile(self) -> int:
        """SecurityProfile."""
        return self._access.profile

    def propose_profile(self, profile: int) -> None:
        """Raise the security profile. ValueError when it is no rise, or what it needs is not there (A05.FR.01-04)."""
        if profile <= self._access.profile:
            raise ValueError(f"the security profile is {self._access.profile} and can only be raised")
        if profile in (1, 2) and len(self._access.key) < MIN_KEY:
            raise ValueError(f"security profile {profile} needs an AuthorizationKey")
        if profile >= 2 and not self.trust.roots(Use.CENTRAL_SYSTEM):
            raise ValueError(f"security profile {profile} needs a CentralSystemRootCertificate")
        if profile == 3 and self.trust.identity(self._utc()) is None:
            raise ValueError("security profile 3 needs a valid charge point certificate")
        self._access.propose(profile=profile)

    def propose_key(self, key: str) -> None:
        """Change the AuthorizationKey."""
        if not MIN_KEY <= len(key) <= MAX_KEY or not key.isprintable():
            raise ValueError(f"an AuthorizationKey has {MIN_KEY} to {MAX_KEY} printable characters")
        self._access.propose(key=key)

    async def key_changed(self, name: str) -> None:
        """One of the two was changed: keep it, note it, and connect anew with it when it matters."""
        await self._access.save()
        self._emit("ReconfigurationOfSecurityParameters", name)
        if name == "SecurityProfile" or self._access.profile in (1, 2):
            self._reconnect()

    # --- our certificate ---------------------------------------------------------------------------------------------

    def may_request(self) -> bool:
        """A request needs the name of the operator (A02, prerequisites)."""
        return bool(self._protocol.cpo_name)

    async def request_certificate(self) -> None:
        """Send SignCertificate for a fresh key."""
        self._asked_at = self._utc()
        station = self._config.station
        csr = await self.trust.request(station.serial or station.id, self._protocol.cpo_name)
        answer = await self._send(call.SignCertificate(csr=csr))
        if answer is not None and answer.get("status") != "Accepted":
            log.warning("the central system does not have the certificate signed", answer=answer)

    def switch_if_due(self) -> None:
        """Connect anew with a certificate that has become valid since the connection was made (A02.FR.08)."""
        newest = self.trust.identity(self._utc())
        if self._access.profile == 3 and newest is not None and newest.not_before > self._chosen_at:
            log.info("a newer certificate of ours is valid now")
            self._reconnect()

    async def renew_if_due(self) -> None:
        """Ask for a new certificate a month before ours expires, once a day."""
        now = self._utc()
        identity = self.trust.identity(now)
        if identity is None or identity.not_after - now > RENEW_BEFORE_S or not self.may_request():
            return
        if self._asked_at is None or now - self._asked_at >= ASK_AGAIN_S:
            await self.request_certificate()

    @on(Action.certificate_signed)
    async def certificate_signed(self, certificate_chain: str) -> call_result.CertificateSigned:
        try:
            await self.trust.signed(certificate_chain, self._utc())
        except ValueError as error:
            log.warning("certificate refused", reason=str(error))
            self._emit("InvalidChargePointCertificate", str(error)[:255])
            return call_result.CertificateSigned(CertificateSignedStatus.rejected)
        self._emit("ReconfigurationOfSecurityParameters", "ChargePointCertificate")
        if self._access.profile == 3:
            self._reconnect()
        return call_result.CertificateSigned(CertificateSignedStatus.accepted)

    # --- roots -------------------------------------------------------------------------------------------------------

    @on(Action.install_certificate)
    async def install_certificate(self, certificate_type: str, certificate: str) -> call_result.InstallCertificate:
        verdict = await self.trust.install(
            Use(certificate_type), certificate, self._utc(), additional_check=self._protocol.additional_root_check
        )
        if verdict is Verdict.ACCEPTED:
            self._emit("ReconfigurationOfSecurityParameters", certificate_type)
        return call_result.InstallCertificate(CertificateStatus(verdict.value))

    @on(Action.delete_certificate)
    async def delete_certificate(self, certificate_hash_data: dict[str, str]) -> call_result.DeleteCertificate:
        wanted = {
            "algorithm": certificate_hash_data["hash_algorithm"],
            "issuer_name": certificate_hash_data["issuer_name_hash"],
            "issuer_key": certificate_hash_data["issuer_key_hash"],
            "serial": certificate_hash_data["serial_number"],
        }
        verdict = await self.trust.delete(wanted, self.peer)
        if verdict is Verdict.ACCEPTED:
            self._emit("ReconfigurationOfSecurityParameters", "DeleteCertificate")
        return call_result.DeleteCertificate(DeleteCertificateStatus(verdict.value))

    @on(Action.get_installed_certificate_ids)
    def get_installed_certificate_ids(self, certificate_type: str) -> call_result.GetInstalledCertificateIds:
        """SHA256 hashes; a DeleteCertificate is understood with any of the three algorithms."""
        found = [root.hash_data[0] for root in self.trust.roots(Use(certificate_type))]
        if not found:
            return call_result.GetInstalledCertificateIds(GetInstalledCertificateStatus.not_found)
        return call_result.GetInstalledCertificateIds(
            GetInstalledCertificateStatus.accepted,
            [
                {
                    "hashAlgorithm": data["algorithm"],
                    "issuerNameHash": data["issuer_name"],
                    "issuerKeyHash": data["issuer_key"],
                    "serialNumber": data["serial"],
                }
                for data in found
            ],
        )


def _text(path: Path | None) -> str:
    """The text of a file of the configuration; what is missing has been told by the check of the configuration."""
    if path is None:
        return ""
    try:
        return path.read_text()
    except OSError as error:
        log.error("file of the configuration cannot be read", file=str(path), reason=str(error))
        return ""
