"""Security extension: certificates, credentials and their change, security events."""

import asyncio
import base64
import ssl
from datetime import UTC, datetime

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from pki import Authority, weak_key

from chargepoint.journal import store
from chargepoint.journal.journal import Journal
from chargepoint.journal.stamp import Stamp, set_offset
from chargepoint.ocpp import security_log
from chargepoint.ocpp.access import Access, Credentials
from chargepoint.ocpp.certificates import HASHES
from chargepoint.ocpp.timestamps import from_text
from chargepoint.ocpp.truststore import STORE_MAX, TrustStore, Use
from chargepoint.ocpp.v16 import backend as backend_module
from chargepoint.sim.central_system import CentralSystem
from chargepoint.station.api import SecurityEvent

pytestmark = pytest.mark.asyncio
ROOT = "CentralSystemRootCertificate"
MAKER = "ManufacturerRootCertificate"


@pytest.fixture(autouse=True)
def reconnect_at_once(monkeypatch):
    monkeypatch.setattr(backend_module, "RECONNECT_AFTER_S", 0.05)


async def install(central, pem, use=ROOT):
    return (await central.call("InstallCertificate", {"certificateType": use, "certificate": pem}))["status"]


async def installed(central, use=ROOT):
    return await central.call("GetInstalledCertificateIds", {"certificateType": use})


async def change(central, key, value):
    return (await central.call("ChangeConfiguration", {"key": key, "value": value}))["status"]


async def log_of(borne):
    await borne.backend._sender.drained(2)
    while not borne.backend._notes.empty():  # noqa: ASYNC110 - a queue without an end has no event for it
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.02)
    await borne.journal.write(lambda db: None)  # after what the last event wrote
    return await borne.journal.read(lambda db: security_log.read(db, 0, 1e11))


# --- roots ------------------------------------------------------------------------------------------------------------


async def test_a_root_is_installed_listed_and_deleted_by_any_hash(borne, central):
    assert (await installed(central))["status"] == "NotFound"
    authority = Authority()
    assert await install(central, authority.pem) == "Accepted"
    assert await install(central, Authority("Maker").pem, MAKER) == "Accepted"
    listed = (await installed(central))["certificateHashData"]
    assert [data["hashAlgorithm"] for data in listed] == ["SHA256"]
    assert listed[0]["serialNumber"] == f"{authority.certificate.serial_number:x}"
    ski = x509.SubjectKeyIdentifier.from_public_key(authority.key.public_key())
    assert len(ski.digest) == 20
    for algorithm in HASHES:
        root = borne.backend._security.trust.roots(Use.CENTRAL_SYSTEM)[0]
        data = next(data for data in root.hash_data if data["algorithm"] == algorithm)
        wanted = {
            "hashAlgorithm": algorithm,
            "issuerNameHash": data["issuer_name"].upper(),
            "issuerKeyHash": data["issuer_key"],
            "serialNumber": data["serial"].upper(),
        }
        assert await central.call("DeleteCertificate", {"certificateHashData": wanted}) == {"status": "Accepted"}
        assert await central.call("DeleteCertificate", {"certificateHashData": wanted}) == {"status": "NotFound"}
        assert (await installed(central))["status"] == "NotFound"
        await install(central, authority.pem)
    assert (await installed(central, MAKER))["status"] == "Accepted"
    assert any("ReconfigurationOfSecurityParameters" in line for line in await log_of(borne))


async def test_what_is_no_valid_root_is_rejected(borne, central):
    authority = Authority()
    leaf, _ = authority.issue("leaf")
    wrong = [
        "no certificate",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        leaf,
        Authority(days=(-10, -1)).pem,
        Authority(days=(1, 10)).pem,
        Authority(key=weak_key()).pem,
        Authority("Sub", parent=authority).pem,
        authority.pem + Authority().pem,
    ]
    for pem in wrong:
        assert await install(central, pem) == "Rejected"
    assert await install(central, Authority(key=rsa.generate_private_key(65537, 2048)).pem) == "Accepted"


async def test_no_more_roots_than_the_store_holds(borne, central):
    assert [await install(central, Authority(f"R{n}").pem) for n in range(STORE_MAX)] == ["Accepted"] * STORE_MAX
    assert await install(central, Authority("one more").pem) == "Rejected"


async def test_with_the_additional_check_a_root_must_be_signed_by_the_one_it_replaces(start, central):
    borne = await start(central, configuration={"AdditionalRootCertificateCheck": True})
    await borne.accepted()
    assert await change(central, "AdditionalRootCertificateCheck", "false") == "Rejected"
    old = Authority("Old")
    assert await install(central, old.pem) == "Accepted"
    assert await install(central, Authority("Foreign").pem) == "Rejected"
    new = Authority("New", parent=old)
    assert await install(central, new.pem) == "Accepted"
    trust = borne.backend._security.trust
    assert trust.trust(with_fallback=False) == new.pem
    assert old.pem in trust.trust(with_fallback=True)
    await trust.drop_fallback()
    assert trust.trust(with_fallback=True) == new.pem


async def test_roots_and_keys_survive_a_restart(tmp_path):
    authority = Authority()
    journal = Journal.open(tmp_path / "chargepoint.db", "boot")
    store = TrustStore(journal)
    await store.load(authority.pem, 1_800_000_000.0)
    csr = await store.request("CP1", "Operator")
    journal.close()
    journal = Journal.open(tmp_path / "chargepoint.db", "boot")
    again = TrustStore(journal)
    await again.load(authority.pem, 1_800_000_000.0)
    assert again.trust(with_fallback=False) == authority.pem
    now = authority.certificate.not_valid_before_utc.timestamp() + 90_000
    await again.signed(authority.sign(csr), now)
    assert again.identity(now) is not None
    journal.close()


async def test_a_root_of_the_configuration_is_taken_in_by_a_clock_that_is_behind(tmp_path):
    authority = Authority()
    before = authority.certificate.not_valid_before_utc.timestamp() - 200 * 86_400
    journal = Journal.open(tmp_path / "chargepoint.db", "boot")
    store = TrustStore(journal)
    await store.load(authority.pem, before)
    assert store.trust(with_fallback=False) == authority.pem
    journal.close()


async def test_a_file_of_roots_of_which_none_could_be_taken_in_is_looked_at_again(tmp_path):
    authority = Authority()
    late = authority.certificate.not_valid_after_utc.timestamp() + 86_400
    journal = Journal.open(tmp_path / "chargepoint.db", "boot")
    await TrustStore(journal).load(authority.pem, late)
    again = TrustStore(journal)
    await again.load(authority.pem, authority.certificate.not_valid_before_utc.timestamp())
    assert again.trust(with_fallback=False) == authority.pem
    journal.close()


# --- our certificate --------------------------------------------------------------------------------------------------


async def requested(central, mark):
    assert (await central.call("ExtendedTriggerMessage", {"requestedMessage": "SignChargePointCertificate"}))[
        "status"
    ] == "Accepted"
    return (await central.wait_for("SignCertificate", after=mark)).payload["csr"]


async def test_a_certificate_is_requested_with_a_p256_key_and_the_operators_name(borne, central):
    trigger = {"requestedMessage": "SignChargePointCertificate"}
    assert (await central.call("ExtendedTriggerMessage", trigger))["status"] == "Rejected"
    await change(central, "CpoName", "Operator SA")
    csr = x509.load_pem_x509_csr((await requested(central, central.mark())).encode())
    assert isinstance(csr.public_key().curve, ec.SECP256R1)
    assert csr.subject.get_attributes_for_oid(x509.NameOID.ORGANIZATION_NAME)[0].value == "Operator SA"
    assert csr.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value == "CP 1/é"


async def test_a_signed_certificate_is_taken_when_it_is_right_and_discarded_when_not(borne, central):
    await change(central, "CpoName", "Operator")
    authority, foreign = Authority(), Authority("Foreign")
    await install(central, authority.pem)
    csr = await requested(central, central.mark())
    other_key, _ = authority.issue("other key")
    for wrong in ("nonsense", foreign.sign(csr), other_key, authority.sign(csr, days=(-10, -1))):
        assert await central.call("CertificateSigned", {"certificateChain": wrong}) == {"status": "Rejected"}
    assert sum("InvalidChargePointCertificate" in line for line in await log_of(borne)) == 4
    sub = Authority("Sub", parent=authority)
    chain = sub.sign(csr) + sub.pem
    assert await central.call("CertificateSigned", {"certificateChain": chain}) == {"status": "Accepted"}
    assert await central.call("CertificateSigned", {"certificateChain": chain}) == {"status": "Rejected"}
    assert borne.backend._security.trust.identity(borne.backend._clock.utc()).chain == chain


async def test_a_certificate_about_to_expire_is_renewed_once_a_day(borne, central):
    await change(central, "CpoName", "Operator")
    authority = Authority()
    await install(central, authority.pem)
    csr = await requested(central, central.mark())
    await central.call("CertificateSigned", {"certificateChain": authority.sign(csr, days=(-1, 20))})
    security, mark = borne.backend._security, central.mark()
    security._asked_at = None
    await security.renew_if_due()
    await security.renew_if_due()
    assert len([r for r in central.received[mark:] if r.action == "SignCertificate"]) == 1
    renewed = central.received[-1].payload["csr"]
    await central.call("CertificateSigned", {"certificateChain": authority.sign(renewed, days=(-0.5, 300))})
    security._asked_at = None
    await security.renew_if_due()
    assert len([r for r in central.received[mark:] if r.action == "SignCertificate"]) == 1


# --- credentials ------------------------------------------------------------------------------------------------------


FILE = Credentials(1, "the old password of it")


async def loaded(journal, file):
    access = Access(journal)
    await access.load(file)
    return access


@pytest_asyncio.fixture
async def access(tmp_path):
    journal = Journal.open(tmp_path / "chargepoint.db", "boot")
    yield await loaded(journal, FILE)
    journal.close()


async def test_new_credentials_are_tried_first_then_the_old_in_turn_and_whichever_connects_stays(access):
    access.propose(key="the new password of it")
    tried = []
    for _ in range(6):
        tried.append(access.current().key.split()[1])
        access.failed()
    assert tried == ["new", "new", "old", "old", "new", "new"]
    assert await access.connected(access.current())
    assert access.key == "the old password of it"
    assert access._candidate is None


async def test_a_change_survives_a_crash_before_it_was_proved(access):
    access.propose(key="the new password of it")
    await access.save()
    again = await loaded(access._journal, FILE)
    assert again.current() == Credentials(1, "the new password of it")
    await again.connected(again.current())
    third = await loaded(access._journal, FILE)
    assert third.current() == Credentials(1, "the new password of it")
    assert third._candidate is None


async def rotated(access):
    """The central system has replaced the provisioned password, and the new one has connected."""
    access.propose(key="the rotated password")
    await access.save()
    await access.connected(access.current())
    return access._journal


async def test_a_rotated_password_stays_while_the_provisioned_file_is_the_same(access):
    journal = await rotated(access)
    for _ in range(2):
        again = await loaded(journal, FILE)
        assert again.current() == Credentials(1, "the rotated password") and again._candidate is None


async def test_a_file_provisioned_anew_replaces_a_rotated_password_and_can_be_rotated_again(access):
    journal = await rotated(access)
    new = Credentials(2, "provisioned anew")
    again = await loaded(journal, new)
    assert again.current() == new
    await again.connected(new)
    assert await rotated(await loaded(journal, new)) is journal
    assert (await loaded(journal, new)).current() == Credentials(2, "the rotated password")


async def test_a_file_that_the_central_system_does_not_know_yet_is_tried_again_at_the_next_start(access):
    journal = await rotated(access)
    new = Credentials(1, "provisioned anew")
    for _ in range(2):
        again = await loaded(journal, new)
        assert again.current() == new
        again.failed()
        again.failed()
        await again.connected(again.current())
        assert again.current() == Credentials(1, "the rotated password")
    again.propose(key="rotated once more")  # later than the file, and so it counts
    await again.save()
    assert (await loaded(journal, new)).current() == Credentials(1, "rotated once more")


async def test_a_password_file_that_cannot_be_read_replaces_nothing(access):
    journal = await rotated(access)
    without = await loaded(journal, Credentials(1))
    assert without.current() == Credentials(1, "the rotated password")
    await rotated(without)
    assert (await loaded(journal, FILE)).current() == Credentials(1, "the rotated password")


async def test_a_journal_that_does_not_tell_which_file_it_began_with_takes_the_present_one_for_it(access):
    journal = await rotated(access)
    await journal.write(lambda db: store.delete(db, "access", "provisioned"))
    assert (await loaded(journal, FILE)).current() == Credentials(1, "the rotated password")
    assert (await loaded(journal, Credentials(1, "provisioned anew"))).current().key == "provisioned anew"


PASSWORD, NEW, HEX = "old-password-1234567", "new-password-1234567", "00112233445566778899aabbccddeeff"


@pytest_asyncio.fixture
async def guarded():
    async with CentralSystem(tags=["TAG1"], password=PASSWORD) as system:
        yield system
        assert system.violations == []


@pytest.mark.parametrize(("key", "password"), [(NEW, NEW), (HEX, bytes.fromhex(HEX))])
async def test_a_new_authorization_key_is_used_after_the_answer_and_never_told(start, guarded, key, password):
    borne = await start(guarded, security_profile=1, configuration={"AuthorizationKey": PASSWORD})
    await borne.accepted()
    assert await change(guarded, "AuthorizationKey", "short") == "Rejected"
    assert await change(guarded, "AuthorizationKey", "x" * 41) == "Rejected"
    guarded.password = password
    assert await change(guarded, "AuthorizationKey", key) == "Accepted"
    await guarded.wait_until(lambda: len(guarded.handshakes) == 2 and bool(guarded.connections))
    told = await guarded.call("GetConfiguration", {"key": ["AuthorizationKey"]})
    assert told == {"configurationKey": [{"key": "AuthorizationKey", "readonly": False}]}
    whole = await guarded.call("GetConfiguration")
    assert "AuthorizationKey" not in [row["key"] for row in whole["configurationKey"]]
    assert not any(key in line for line in await log_of(borne))


async def test_a_key_the_central_system_does_not_take_is_dropped_for_the_old_one(start, guarded):
    borne = await start(guarded, security_profile=1, configuration={"AuthorizationKey": PASSWORD})
    await borne.accepted()
    assert await change(guarded, "AuthorizationKey", NEW) == "Accepted"
    await guarded.wait_until(lambda: len(guarded.handshakes) == 4 and bool(guarded.connections))
    await guarded.call("GetConfiguration")
    assert borne.backend._security._access.key == PASSWORD
    assert any("FailedToAuthenticationAtCentralSystem" in line for line in await log_of(borne))


async def test_the_security_profile_only_rises_and_only_with_what_it_needs(borne, central):
    for value in ("0", "-1", "4", "two"):
        assert await change(central, "SecurityProfile", value) == "Rejected"
    assert await change(central, "SecurityProfile", "1") == "Rejected"
    await change(central, "AuthorizationKey", PASSWORD)
    assert await change(central, "SecurityProfile", "2") == "Rejected"
    await install(central, Authority().pem)
    assert await change(central, "SecurityProfile", "3") == "Rejected"
    assert await change(central, "SecurityProfile", "1") == "Accepted"
    await central.wait_until(lambda: len(central.handshakes) == 2 and bool(central.connections))
    assert central.handshakes[1].headers["Authorization"].startswith("Basic ")
    assert await change(central, "SecurityProfile", "1") == "Rejected"
    answer = await central.call("GetConfiguration", {"key": ["SecurityProfile"]})
    assert answer["configurationKey"][0]["value"] == "1"


async def test_a_raised_security_profile_stays_once_it_has_connected_and_across_a_restart(start, central):
    borne = await start(central)
    await borne.accepted()
    await change(central, "AuthorizationKey", PASSWORD)
    assert "Authorization" not in central.handshakes[0].headers
    assert await change(central, "SecurityProfile", "1") == "Accepted"
    await central.wait_until(lambda: len(central.handshakes) == 2 and bool(central.connections))
    given = base64.b64decode(central.handshakes[1].headers["Authorization"].removeprefix("Basic ")).decode()
    assert given == f"CP 1/é:{PASSWORD}"
    assert await change(central, "SecurityProfile", "0") == "Rejected"
    borne.task.cancel()
    await asyncio.gather(borne.task, return_exceptions=True)
    borne.journal.close()
    await central.wait_until(lambda: not central.connections)
    await start(central)
    await central.wait_connected()
    assert central.handshakes[-1].headers["Authorization"] == central.handshakes[1].headers["Authorization"]


async def test_a_security_profile_that_cannot_connect_falls_back(borne, central):
    """The central system of this test speaks no TLS."""
    await change(central, "AuthorizationKey", PASSWORD)
    await install(central, Authority().pem)
    assert await change(central, "SecurityProfile", "2") == "Accepted"
    await central.wait_until(lambda: not central.connections)
    await central.wait_connected()
    answer = await central.call("GetConfiguration", {"key": ["SecurityProfile"]})
    assert answer["configurationKey"][0]["value"] == "0"


def server_tls(tmp_path, authority, client_root=None, days=(-1, 60)):
    chain, key = authority.issue("localhost", host="localhost", days=days)
    (tmp_path / "server.pem").write_text(chain + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    if client_root is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=client_root.pem)
    return context


async def test_profile_2_and_the_root_the_connection_rests_on_is_not_deleted(start, tmp_path):
    authority = Authority()
    (tmp_path / "ca.pem").write_text(authority.pem)
    tls = server_tls(tmp_path, authority)
    async with CentralSystem(password=PASSWORD, tls=tls, host="localhost") as central:
        await start(
            central,
            security_profile=2,
            csms_ca_file=str(tmp_path / "ca.pem"),
            configuration={"AuthorizationKey": PASSWORD},
        )
        await central.wait_for("BootNotification")
        (data,) = (await installed(central))["certificateHashData"]
        assert await central.call("DeleteCertificate", {"certificateHashData": data}) == {"status": "Failed"}
        await install(central, Authority("Another").pem)
        other = (await installed(central))["certificateHashData"][1]
        assert await central.call("DeleteCertificate", {"certificateHashData": other}) == {"status": "Accepted"}
        assert central.violations == []


async def test_profile_3_shows_the_certificate_of_the_device_and_then_the_one_it_was_given(start, tmp_path):
    authority = Authority()
    (tmp_path / "ca.pem").write_text(authority.pem)
    chain, key = authority.issue("CP1")
    (tmp_path / "cp.pem").write_text(chain)
    (tmp_path / "cp.key").write_text(key)
    tls = server_tls(tmp_path, authority, client_root=authority)
    async with CentralSystem(tls=tls, host="localhost") as central:
        borne = await start(
            central,
            security_profile=3,
            csms_ca_file=str(tmp_path / "ca.pem"),
            client_certificate_file=str(tmp_path / "cp.pem"),
            client_key_file=str(tmp_path / "cp.key"),
            configuration={"CpoName": "Operator"},
        )
        await borne.accepted()
        csr = await requested(central, central.mark())
        signed = authority.sign(csr, days=(-0.5, 300))
        assert await central.call("CertificateSigned", {"certificateChain": signed}) == {"status": "Accepted"}
        await central.wait_until(lambda: len(central.handshakes) == 2 and bool(central.connections))
        shown = central.connections["CP 1/é"].transport.get_extra_info("ssl_object").getpeercert()
        assert (("organizationName", "Operator"),) in shown["subject"]


async def test_a_certificate_is_used_from_the_moment_it_becomes_valid(start, tmp_path, monkeypatch):
    monkeypatch.setattr(backend_module, "RENEWAL_LOOK_S", 0.1)
    authority = Authority()
    (tmp_path / "ca.pem").write_text(authority.pem)
    chain, key = authority.issue("CP1")
    (tmp_path / "cp.pem").write_text(chain)
    (tmp_path / "cp.key").write_text(key)
    async with CentralSystem(tls=server_tls(tmp_path, authority, authority), host="localhost") as central:
        borne = await start(
            central,
            security_profile=3,
            csms_ca_file=str(tmp_path / "ca.pem"),
            client_certificate_file=str(tmp_path / "cp.pem"),
            client_key_file=str(tmp_path / "cp.key"),
            configuration={"CpoName": "Operator"},
        )
        await borne.accepted()
        csr = await requested(central, central.mark())
        soon = authority.sign(csr, days=(1.5 / 86_400, 300))
        assert await central.call("CertificateSigned", {"certificateChain": soon}) == {"status": "Accepted"}

        def shows_the_new_one():
            connection = central.connections.get("CP 1/é")
            shown = connection and connection.transport.get_extra_info("ssl_object").getpeercert()
            return shown and (("organizationName", "Operator"),) in shown["subject"]

        await central.wait_until(lambda: len(central.handshakes) == 2 and bool(central.connections))
        assert not shows_the_new_one()
        await central.wait_until(shows_the_new_one)
        await asyncio.sleep(0.5)
        assert len(central.handshakes) == 3  # and it stays


async def test_a_certificate_that_names_its_owner_by_common_name_alone_is_taken(start, tmp_path):
    """The white paper wants the name there, and no subjectAltName (A00.FR.510, A00.FR.511)."""
    authority = Authority()
    (tmp_path / "ca.pem").write_text(authority.pem)
    chain, key = authority.issue("localhost")
    (tmp_path / "server.pem").write_text(chain + key)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "server.pem")
    async with CentralSystem(tls=tls, host="localhost") as central:
        configuration = {"AuthorizationKey": PASSWORD}
        borne = await start(
            central, security_profile=2, csms_ca_file=str(tmp_path / "ca.pem"), configuration=configuration
        )
        await borne.accepted()


@pytest.mark.parametrize("wrong", ["foreign", "expired"])
async def test_a_central_system_of_another_authority_or_out_of_date_is_noted(start, tmp_path, wrong):
    mine = Authority("Mine")
    (tmp_path / "ca.pem").write_text(mine.pem)
    server = (Authority("Theirs"), (-1, 60)) if wrong == "foreign" else (mine, (-9, -1))
    tls = server_tls(tmp_path, server[0], days=server[1])
    async with CentralSystem(tls=tls, host="localhost") as central:
        borne = await start(central, security_profile=2, csms_ca_file=str(tmp_path / "ca.pem"))
        async with asyncio.timeout(5):
            while not any("InvalidCentralSystemCertificate" in line for line in await log_of(borne)):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert central.handshakes == []


# --- events -----------------------------------------------------------------------------------------------------------


async def test_only_critical_events_are_sent_and_all_are_in_the_log(borne, central):
    borne.backend._emit("InvalidMessages", "noise")
    borne.backend._emit("TamperDetectionActivated", "door")
    await central.wait_for("SecurityEventNotification", lambda p: p["type"] == "TamperDetectionActivated")
    assert [p["type"] for p in central.calls("SecurityEventNotification")] == [
        "StartupOfTheDevice",
        "TamperDetectionActivated",
    ]
    kinds = [line.split()[1] for line in await log_of(borne)]
    assert kinds == ["StartupOfTheDevice", "InvalidMessages", "TamperDetectionActivated"]


async def test_a_critical_event_without_a_link_is_delivered_after_a_restart_with_its_own_time(start, central):
    borne = await start(central)
    await borne.accepted()
    await borne.backend.disconnect()
    borne.backend.notify(SecurityEvent("TamperDetectionActivated", "door", datetime.now(UTC)))
    await log_of(borne)
    offset = borne.backend._clock.offset
    await borne.journal.write(lambda db: set_offset(db, borne.journal.boot, offset))  # as the station does, once known
    before = datetime.now(UTC)
    borne.task.cancel()
    await asyncio.gather(borne.task, return_exceptions=True)
    borne.journal.close()
    await central.wait_until(lambda: not central.connections)
    mark = central.mark()
    await start(central)
    told = await central.wait_for("SecurityEventNotification", lambda p: p.get("techInfo") == "door", after=mark)
    assert from_text(told.payload["timestamp"]) <= before
    kinds = [r.payload["type"] for r in central.received[mark:] if r.action == "SecurityEventNotification"]
    assert kinds[0] == "TamperDetectionActivated"  # what waited goes first


async def test_events_of_before_the_time_was_known_get_their_time_later(borne):
    def write(db):
        security_log.append(db, Stamp(7, 50.0, None), "TamperDetectionActivated", "door")
        before = security_log.read(db, 1e9, 2e9)[-1]
        db.execute("INSERT INTO boots (boot, boot_id, first_mono, last_mono, utc_offset) VALUES (7, 'x', 0, 99, 1.7e9)")
        return before, security_log.read(db, 1.7e9, 1.7e9 + 60)[-1:], security_log.read(db, 0, 1e9)

    before, inside, outside = await borne.journal.write(write)
    assert before == "before-the-time-was-known TamperDetectionActivated door"
    assert inside == ["2023-11-14T22:14:10.000Z TamperDetectionActivated door"]
    assert outside == []


async def test_a_burst_of_malformed_frames_is_one_event(borne, central):
    for _ in range(20):
        await central.send_text("[not json")
    await central.call("ClearCache")
    assert sum("InvalidMessages" in line for line in await log_of(borne)) == 1


async def test_the_security_log_rolls(borne, monkeypatch):
    monkeypatch.setattr(security_log, "MAX_EVENTS", 3)
    for number in range(5):
        borne.backend._emit("InvalidMessages", str(number))
        await asyncio.sleep(0.01)
    assert [line.split()[-1] for line in await log_of(borne)] == ["2", "3", "4"]
