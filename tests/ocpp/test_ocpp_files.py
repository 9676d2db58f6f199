"""Logs and firmware: statuses in order, restarts, what goes wrong. How files travel is in test_ocpp_transfer."""

import asyncio
import base64
import json

import pytest
import pytest_asyncio
from conftest import FakeStation, config
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from file_servers import IMAGE, Ftp, Web, serving, tls_context
from pki import Authority

from chargepoint.journal import transactions
from chargepoint.journal.stamp import Stamp
from chargepoint.ocpp import installer as installer_module
from chargepoint.ocpp.installer import ExchangeInstaller, InstallFailed
from chargepoint.ocpp.rpc import LinkLost
from chargepoint.ocpp.v16.backend import Backend
from chargepoint.ocpp.v16.firmware import BEGINNING_S, LOOK_S
from chargepoint.sim.central_system import CallFailed
from chargepoint.station.api import Outcome
from chargepoint.station.clock import Clock
from chargepoint.update.request import Exchange, Progress, Request, Step

pytestmark = pytest.mark.asyncio


@pytest.fixture
def web():
    with serving(Web()) as server:
        yield server


@pytest.fixture(scope="module")
def operator():
    return Authority("Operator")


@pytest.fixture(params=["https", "ftps"])
def secure(request, operator, tmp_path_factory):
    """A file server behind TLS, certified by the operator's authority."""
    kind = {"https": Web, "ftps": Ftp}[request.param]
    with serving(kind(tls_context(operator, directory=tmp_path_factory.mktemp("tls")))) as server:
        server.tag = '"v1"'
        yield server


async def trusted(central, authority):
    request = {"certificateType": "CentralSystemRootCertificate", "certificate": authority.pem}
    assert (await central.call("InstallCertificate", request))["status"] == "Accepted"


async def until(condition):
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came to it")


def slept(part):
    """The waits of a part of the backend, none of which lasts."""
    waits = []

    async def sleep(seconds):
        waits.append(seconds)

    part._sleep = sleep
    return waits


# --- logs -------------------------------------------------------------------------------------------------------------


def statuses(central, action):
    return [payload["status"] for payload in central.calls(action)]


async def test_diagnostics_are_uploaded_and_told(borne, central, web):
    answer = await central.call("GetDiagnostics", {"location": web.url + "/in"})
    await central.wait_for("DiagnosticsStatusNotification", lambda p: p["status"] == "Uploaded")
    assert statuses(central, "DiagnosticsStatusNotification") == ["Uploading", "Uploaded"]
    content = json.loads(web.taken["/in/" + answer["fileName"]])
    assert content["configuration"]["NumberOfConnectors"] == "2"
    assert "AuthorizationKey" not in content["configuration"]


async def test_a_failed_upload_is_tried_again_as_often_as_asked(borne, central, web):
    web.failures = [500, 500]
    request = {"location": web.url + "/in", "retries": 1, "retryInterval": 0}
    await central.call("GetDiagnostics", request)
    await central.wait_for("DiagnosticsStatusNotification", lambda p: p["status"] == "UploadFailed")
    web.failures = [500]
    await central.call("GetDiagnostics", request)
    await central.wait_for("DiagnosticsStatusNotification", lambda p: p["status"] == "Uploaded")
    assert len(web.requests) == 4


def get_log(web, request_id, kind="SecurityLog", **more):
    return {"logType": kind, "requestId": request_id, "log": {"remoteLocation": web.url + "/in"}, **more}


async def test_the_security_log_is_uploaded_with_its_request_id(borne, central, web):
    answer = await central.call("GetLog", get_log(web, 7))
    assert answer["status"] == "Accepted"
    await central.wait_for("LogStatusNotification", lambda p: p["status"] == "Uploaded")
    assert central.calls("LogStatusNotification") == [
        {"status": "Uploading", "requestId": 7},
        {"status": "Uploaded", "requestId": 7},
    ]
    assert b"StartupOfTheDevice" in web.taken["/in/" + answer["filename"]]


@pytest.mark.parametrize(
    ("failure", "status"), [(403, "PermissionDenied"), (400, "BadMessage"), (500, "UploadFailure")]
)
async def test_why_a_log_was_not_uploaded_is_told(borne, central, web, failure, status):
    web.failures = [failure]
    await central.call("GetLog", get_log(web, 1, retries=0))
    await central.wait_for("LogStatusNotification", lambda p: p["status"] == status)


async def test_logs_go_over_tls_to_a_server_of_the_operators_authority_and_to_no_other(
    borne, central, secure, operator
):
    waits = slept(borne.backend._logs)
    request = {"location": secure.url + "/in", "retries": 2, "retryInterval": 7}
    await central.call("GetDiagnostics", request)
    await central.wait_for("DiagnosticsStatusNotification", lambda p: p["status"] == "UploadFailed")
    assert waits == [7, 7]  # retries are repetitions (errata 3.50)
    await central.call("GetLog", get_log(secure, 1, retries=1, retryInterval=9))
    await central.wait_for("LogStatusNotification", lambda p: p["status"] == "UploadFailure")
    assert waits == [7, 7, 9]
    assert secure.taken == {}
    await trusted(central, operator)
    answer = await central.call("GetDiagnostics", request)
    await central.wait_for("DiagnosticsStatusNotification", lambda p: p["status"] == "Uploaded")
    log = await central.call("GetLog", get_log(secure, 2))
    await central.wait_for("LogStatusNotification", lambda p: p["status"] == "Uploaded")
    assert set(secure.taken) == {"/in/" + answer["fileName"], "/in/" + log["filename"]}
    assert waits == [7, 7, 9]


async def test_a_new_get_log_cancels_the_one_before(borne, central, web):
    web.hold.clear()
    await central.call("GetLog", get_log(web, 1))
    await central.wait_for("LogStatusNotification", lambda p: p["requestId"] == 1)
    triggered = {"requestedMessage": "LogStatusNotification"}
    await central.call("ExtendedTriggerMessage", triggered)
    second = asyncio.create_task(central.call("GetLog", get_log(web, 2)))
    await asyncio.sleep(0.05)
    web.hold.set()
    assert (await second)["status"] == "AcceptedCanceled"
    await central.wait_for("LogStatusNotification", lambda p: p == {"status": "Uploaded", "requestId": 2})
    await central.call("ExtendedTriggerMessage", triggered)
    await central.wait_for("LogStatusNotification", lambda p: p == {"status": "Idle"})
    assert [p.get("requestId") for p in central.calls("LogStatusNotification")] == [1, 1, 2, 2, None]


# --- firmware ---------------------------------------------------------------------------------------------------------


class Installer:
    """Takes every image, unless told otherwise."""

    def __init__(self):
        self.restart = False
        self.fail = False
        self.running = False
        self.judged = asyncio.Event()
        self.images = []

    async def install(self, image):
        if self.fail:
            raise InstallFailed("it does not fit")
        self.images.append(image.read_bytes())
        return not self.restart

    async def confirmed(self, image):
        await self.judged.wait()
        return self.running


@pytest_asyncio.fixture
async def installer():
    return Installer()


@pytest_asyncio.fixture
async def maker():
    return Authority("Maker")


@pytest_asyncio.fixture
async def updated(borne, central, installer, maker):
    """A borne that can install, and knows its manufacturer."""
    borne.backend._firmware._installer = installer
    request = {"certificateType": "ManufacturerRootCertificate", "certificate": maker.pem}
    assert (await central.call("InstallCertificate", request))["status"] == "Accepted"
    return borne


def signed(maker, web, key=None, content=IMAGE, signature=None, certificate=None, path="/fw.bin", **firmware):
    key = key or ec.generate_private_key(ec.SECP256R1())
    if signature is None:
        if isinstance(key, rsa.RSAPrivateKey):
            pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.MAX_LENGTH)
            signature = key.sign(content, pss, hashes.SHA256())
        else:
            signature = key.sign(content, ec.ECDSA(hashes.SHA256()))
        signature = base64.b64encode(signature).decode()
    return {
        "requestId": 9,
        "retries": 0,
        "firmware": {
            "location": web.url + path,
            "retrieveDateTime": "2020-01-01T00:00:00Z",
            "signingCertificate": certificate or maker.issue("Signer", key)[0],
            "signature": signature,
            **firmware,
        },
    }


async def told(central, last):
    await central.wait_for("SignedFirmwareStatusNotification", lambda p: p["status"] == last)
    return statuses(central, "SignedFirmwareStatusNotification")


@pytest.mark.parametrize("key", [None, rsa.generate_private_key(65537, 2048)])
async def test_signed_firmware_is_fetched_verified_installed_and_told_in_order(
    updated, central, web, maker, installer, key
):
    assert await central.call("SignedUpdateFirmware", signed(maker, web, key)) == {"status": "Accepted"}
    assert await told(central, "Installed") == [
        "Downloading",
        "Downloaded",
        "SignatureVerified",
        "Installing",
        "Installed",
    ]
    assert {p["requestId"] for p in central.calls("SignedFirmwareStatusNotification")} == {9}
    assert installer.images == [IMAGE]
    await central.wait_for("SecurityEventNotification", lambda p: p["type"] == "FirmwareUpdated")
    assert [asked for asked in updated.station.asked if asked[0] == "set_availability"] == [
        ("set_availability", 1, False, "update"),
        ("set_availability", 2, False, "update"),
        ("set_availability", 1, True, "update"),
        ("set_availability", 2, True, "update"),
    ]
    mark = central.mark()
    await central.call("ExtendedTriggerMessage", {"requestedMessage": "FirmwareStatusNotification"})
    idle = await central.wait_for("SignedFirmwareStatusNotification", after=mark)
    assert idle.payload == {"status": "Idle"}


async def test_a_wrong_signature_is_not_installed(updated, central, web, maker, installer):
    await central.call("SignedUpdateFirmware", signed(maker, web, content=b"another image"))
    assert (await told(central, "InvalidSignature"))[-1] == "InvalidSignature"
    await central.wait_for("SecurityEventNotification", lambda p: p["type"] == "InvalidFirmwareSignature")
    assert installer.images == []
    assert not updated.backend._firmware._image.exists()
    await central.call("SignedUpdateFirmware", signed(maker, web, signature="no base 64!"))
    await central.wait_until(
        lambda: statuses(central, "SignedFirmwareStatusNotification").count("InvalidSignature") == 2
    )


async def test_a_signing_certificate_of_somebody_else_is_refused_before_anything(updated, central, web, maker):
    foreign = Authority("Foreign").issue("Signer")[0]
    sub = Authority("Sub", parent=maker).issue("Signer")[0]
    old = maker.issue("Signer", days=(-9, -1))[0]
    for wrong in (foreign, sub, old, "no certificate"):
        answer = await central.call("SignedUpdateFirmware", signed(maker, web, certificate=wrong))
        assert answer == {"status": "InvalidCertificate"}
    assert web.requests == []


async def test_a_signing_certificate_its_maker_has_revoked_is_refused(updated, central, web, maker, installer):
    key = ec.generate_private_key(ec.SECP256R1())
    withdrawn, good = maker.issue("Signer", key)[0], maker.issue("Signer", key)[0]
    trust = updated.backend._security.trust
    trust.revocations = Authority("Somebody").revoke(good) + maker.revoke(withdrawn)
    answer = await central.call("SignedUpdateFirmware", signed(maker, web, key, certificate=withdrawn))
    assert answer == {"status": "RevokedCertificate"}
    await central.wait_for("SecurityEventNotification", lambda p: p["type"] == "InvalidFirmwareSigningCertificate")
    assert web.requests == []
    trust.revocations = Authority("Maker").revoke()  # of the maker's name, but not of the maker
    answer = await central.call("SignedUpdateFirmware", signed(maker, web, key, certificate=good))
    assert answer == {"status": "InvalidCertificate"}
    trust.revocations = maker.revoke(withdrawn)
    assert await central.call("SignedUpdateFirmware", signed(maker, web, key, certificate=good)) == {
        "status": "Accepted"
    }
    await told(central, "Installed")


async def test_the_list_of_revoked_certificates_comes_from_the_file_of_the_configuration(
    start, central, maker, tmp_path
):
    (tmp_path / "crl.pem").write_text(maker.revoke())
    borne = await start(central, firmware_crl_file=str(tmp_path / "crl.pem"))
    await borne.accepted()
    assert borne.backend._security.trust.revocations == (tmp_path / "crl.pem").read_text()


async def test_a_download_that_fails_is_tried_again_and_then_told(updated, central, web, maker):
    web.failures = [500, 500]
    request = {**signed(maker, web), "retries": 1, "retryInterval": 0}
    await central.call("SignedUpdateFirmware", request)
    assert await told(central, "DownloadFailed") == ["Downloading", "DownloadFailed"]
    web.failures = [500]
    await central.call("SignedUpdateFirmware", request)
    await told(central, "Installed")


async def test_firmware_comes_over_tls_goes_on_where_it_broke_off_and_waits_as_asked(
    updated, central, secure, maker, installer, operator
):
    waits = slept(updated.backend._firmware)
    await trusted(central, operator)
    secure.cuts = [100_000, 60_000]
    request = {**signed(maker, secure), "retries": 2, "retryInterval": 11}
    await central.call("SignedUpdateFirmware", request)
    assert await told(central, "Installed") == [
        "Downloading",
        "Downloaded",
        "SignatureVerified",
        "Installing",
        "Installed",
    ]
    assert waits[:2] == [11, 11]
    assert installer.images == [IMAGE]
    asked = secure.ranges if isinstance(secure, Web) else secure.rests
    assert [str(one).strip("bytes=-") for one in asked if one] == ["100000", "160000"]


async def test_unsigned_firmware_comes_over_tls_and_not_from_a_server_nobody_trusts(
    updated, central, secure, installer, operator
):
    waits = slept(updated.backend._firmware)
    request = {"location": secure.url + "/fw.bin", "retrieveDate": "2020-01-01T00:00:00Z"}
    await central.call("UpdateFirmware", {**request, "retries": 2, "retryInterval": 5})
    await central.wait_for("FirmwareStatusNotification", lambda p: p["status"] == "DownloadFailed")
    assert waits == [5, 5]
    assert installer.images == []
    await trusted(central, operator)
    await central.call("UpdateFirmware", request)
    await central.wait_for("FirmwareStatusNotification", lambda p: p["status"] == "Installed")
    assert installer.images == [IMAGE]


async def test_a_full_disk_during_a_download_is_told_and_costs_nothing_else(updated, central, web, maker, installer):
    image = updated.backend._firmware._image
    image.symlink_to("/dev/full")  # every write fails with ENOSPC
    before = await central.call("GetConfiguration")
    await central.call("SignedUpdateFirmware", signed(maker, web))
    assert await told(central, "DownloadFailed") == ["Downloading", "DownloadFailed"]
    assert not image.is_symlink()
    assert installer.images == []
    assert [asked for asked in updated.station.asked if asked[0] == "set_availability"] == []  # nobody was kept out
    assert await central.call("GetConfiguration") == before
    stamp = Stamp(updated.journal.boot, 1.0, 1_700_000_000.0)
    await updated.journal.write(lambda db: transactions.begin(db, 1, 1, "TAG1", None, None, "car", stamp, 10))
    updated.backend.outbox_changed()
    await central.wait_for("StartTransaction")
    await central.call("SignedUpdateFirmware", signed(maker, web))
    await told(central, "Installed")


async def test_an_installation_that_fails_is_told_and_the_points_come_back(updated, central, web, maker, installer):
    installer.fail = True
    await central.call("SignedUpdateFirmware", signed(maker, web))
    await told(central, "InstallationFailed")
    await central.call("ClearCache")
    assert ("set_availability", 2, True, "update") in updated.station.asked


async def test_an_update_that_breaks_off_for_want_of_a_disk_is_told_and_the_points_come_back(
    updated, central, web, maker, installer, monkeypatch
):
    async def install(image):
        raise OSError("read-only file system")

    installer.install = install
    await central.call("SignedUpdateFirmware", signed(maker, web))
    await told(central, "InstallationFailed")
    await until(lambda: ("set_availability", 2, True, "update") in updated.station.asked)


async def test_installation_waits_for_the_transactions(updated, central, web, maker, installer, monkeypatch):
    monkeypatch.setattr("chargepoint.ocpp.v16.firmware.LOOK_S", 0.01)
    updated.station.transaction_of = lambda evse: 5 if evse == 2 else None
    await central.call("SignedUpdateFirmware", signed(maker, web))
    await told(central, "SignatureVerified")
    await asyncio.sleep(0.1)
    assert installer.images == []
    updated.station.transaction_of = lambda evse: None
    await told(central, "Installed")


async def test_a_session_that_is_just_beginning_is_seen_before_anything_is_installed(
    updated, central, web, maker, installer
):
    waits = slept(updated.backend._firmware)
    updated.station.outcome = Outcome.SCHEDULED
    updated.station.transaction_of = lambda evse: 5 if len(waits) in (1, 2) else None
    await central.call("SignedUpdateFirmware", signed(maker, web))
    await told(central, "Installed")
    assert waits == [BEGINNING_S, LOOK_S, LOOK_S]


async def test_a_new_update_cancels_one_that_waits(updated, central, web, maker, installer):
    later = {"retrieveDateTime": "2100-01-01T00:00:00Z"}
    assert await central.call("SignedUpdateFirmware", signed(maker, web, **later)) == {"status": "Accepted"}
    await told(central, "DownloadScheduled")
    request = signed(maker, web, installDateTime="2100-01-01T00:00:00Z")
    assert await central.call("SignedUpdateFirmware", request) == {"status": "AcceptedCanceled"}
    await told(central, "InstallScheduled")
    assert await central.call("SignedUpdateFirmware", signed(maker, web)) == {"status": "AcceptedCanceled"}
    await told(central, "Installed")
    assert installer.images == [IMAGE]


@pytest.mark.parametrize(("running", "status"), [(True, "Installed"), (False, "InstallationFailed")])
async def test_an_update_that_needs_a_restart_is_told_after_it(
    updated, start, central, web, maker, installer, running, status
):
    installer.restart = True
    await central.call("SignedUpdateFirmware", signed(maker, web))
    await told(central, "InstallRebooting")
    await central.call("ClearCache")
    assert "Installed" not in statuses(central, "SignedFirmwareStatusNotification")
    updated.task.cancel()
    await asyncio.gather(updated.task, return_exceptions=True)
    updated.journal.close()
    after = Installer()
    after.running = running
    after.judged.set()
    await start(central, installer=after)
    assert (await told(central, status))[-1] == status


async def test_an_update_whose_restart_does_not_come_gives_the_points_back_and_lets_no_other_in_before(
    updated, central, web, maker, installer
):
    """The services could not be restarted: what ran before still runs, and the installer says so."""
    installer.restart = True
    await central.call("SignedUpdateFirmware", signed(maker, web))
    await told(central, "InstallRebooting")
    await central.call("ClearCache")
    assert (await central.call("SignedUpdateFirmware", signed(maker, web)))["status"] == "Rejected"
    installer.judged.set()
    await told(central, "InstallationFailed")
    await central.wait_until(lambda: ("set_availability", 2, True, "update") in updated.station.asked)


async def test_what_an_update_ended_with_is_told_after_a_restart_when_there_was_no_link_till_then(
    updated, start, central, web, maker, installer
):
    call = updated.backend._reports._call

    async def no_link_at_the_end(request):
        if request.status == "Installed":
            raise LinkLost("no link")
        return await call(request)

    updated.backend._reports._call = no_link_at_the_end
    await central.call("SignedUpdateFirmware", signed(maker, web))
    await told(central, "Installing")
    await until(lambda: not updated.backend._firmware.busy)
    borne = updated
    for _ in range(2):
        borne.task.cancel()
        await asyncio.gather(borne.task, return_exceptions=True)
        borne.journal.close()
        mark = central.mark()
        borne = await start(central, installer=installer)
        await central.wait_for("BootNotification", after=mark)
        await told(central, "Installed")
        await asyncio.sleep(0.05)
        assert statuses(central, "SignedFirmwareStatusNotification").count("Installed") == 1


async def test_an_update_goes_on_after_a_restart_when_the_station_knows_again_what_was_out_of_service(
    updated, central, web, maker, installer, tmp_path
):
    updated.station.transaction_of = lambda evse: 5
    await central.call("SignedUpdateFirmware", signed(maker, web))
    await told(central, "SignatureVerified")
    updated.backend._firmware._task.cancel()
    updated.task.cancel()
    await asyncio.gather(updated.task, return_exceptions=True)
    station = FakeStation()
    clock = Clock(updated.journal.boot)
    backend = Backend(config(central.url, tmp_path), updated.journal, clock, station, installer)
    await backend.load()
    await asyncio.sleep(0.05)
    assert station.asked == []
    running = asyncio.create_task(backend.run())
    await told(central, "Installed")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert [one[2] for one in station.asked if one[0] == "set_availability"] == [False, False, True, True]


async def test_points_come_back_though_the_power_was_cut_when_the_update_was_over(updated, start, central, web, maker):
    async def cut(*what, **more):
        updated.station.asked.append(("cut", what))
        await asyncio.Event().wait()

    updated.backend._firmware._installer.fail = True
    shut = updated.station.set_availability

    async def set_availability(evse, operative, connector=None, for_update=False):
        return await (cut() if operative else shut(evse, operative, connector, for_update))

    updated.station.set_availability = set_availability
    await central.call("SignedUpdateFirmware", signed(maker, web))
    await told(central, "InstallationFailed")
    await until(lambda: updated.station.asked[-1][0] == "cut")
    updated.task.cancel()
    updated.backend._firmware._task.cancel()
    await asyncio.gather(updated.task, updated.backend._firmware._task, return_exceptions=True)
    updated.journal.close()
    for reopened in (True, False):
        mark = central.mark()
        borne = await start(central)
        await central.wait_for("BootNotification", after=mark)
        await until(lambda: not borne.backend._firmware.busy)  # noqa: B023
        assert [one[:3] for one in borne.station.asked if one[0] == "set_availability"] == (
            [("set_availability", 1, True), ("set_availability", 2, True)] if reopened else []
        )
        borne.task.cancel()
        await asyncio.gather(borne.task, return_exceptions=True)
        borne.journal.close()


async def test_an_image_changed_after_its_download_is_not_installed(
    updated, central, web, maker, installer, monkeypatch
):
    monkeypatch.setattr("chargepoint.ocpp.v16.firmware.LOOK_S", 0.01)
    updated.station.transaction_of = lambda evse: 5
    await central.call("SignedUpdateFirmware", signed(maker, web))
    await told(central, "SignatureVerified")
    updated.backend._firmware._image.write_bytes(b"tampered")
    updated.station.transaction_of = lambda evse: None
    await told(central, "InstallVerificationFailed")
    assert installer.images == []


async def test_unsigned_firmware_only_without_a_security_profile(updated, central, web, installer):
    request = {"location": web.url + "/fw.bin", "retrieveDate": "2020-01-01T00:00:00Z"}
    assert await central.call("UpdateFirmware", request) == {}
    await central.wait_for("FirmwareStatusNotification", lambda p: p["status"] == "Installed")
    assert statuses(central, "FirmwareStatusNotification") == ["Downloading", "Downloaded", "Installing", "Installed"]
    mark = central.mark()
    await central.call("TriggerMessage", {"requestedMessage": "FirmwareStatusNotification"})
    assert (await central.wait_for("FirmwareStatusNotification", after=mark)).payload == {"status": "Idle"}
    await central.call("TriggerMessage", {"requestedMessage": "DiagnosticsStatusNotification"})
    assert (await central.wait_for("DiagnosticsStatusNotification")).payload == {"status": "Idle"}
    updated.backend._security._access.propose(profile=1)
    with pytest.raises(CallFailed) as failure:
        await central.call("UpdateFirmware", request)
    assert failure.value.code == "NotSupported"


async def test_unsigned_firmware_can_be_refused_altogether(updated, central, web, installer):
    await central.call("ChangeConfiguration", {"key": "UpdateFirmwareAllowed", "value": "false"})
    request = {"location": web.url + "/fw.bin", "retrieveDate": "2020-01-01T00:00:00Z"}
    with pytest.raises(CallFailed) as failure:
        await central.call("UpdateFirmware", request)
    assert failure.value.code == "NotSupported"
    assert statuses(central, "FirmwareStatusNotification") == []


async def test_an_image_nobody_installs_is_told_as_failed(borne, central, web, monkeypatch):
    monkeypatch.setattr(installer_module, "NOTICED_S", 0.2)
    monkeypatch.setattr(installer_module, "POLL_S", 0.1)
    request = {"location": web.url + "/fw.bin", "retrieveDate": "2020-01-01T00:00:00Z"}
    await central.call("UpdateFirmware", request)
    await central.wait_for("FirmwareStatusNotification", lambda p: p["status"] == "InstallationFailed")


@pytest.mark.parametrize(
    ("step", "done"), [(Step.INSTALLED, True), (Step.TRIAL, False), (Step.FAILED, None), (Step.INVALID, None)]
)
async def test_the_image_is_handed_over_and_the_answer_of_the_installer_awaited(tmp_path, step, done):
    exchange = Exchange(tmp_path)

    async def root_works(seconds):
        request = exchange.take()
        exchange.say(Progress(step if request is None else Step.INSTALLING, "text", "1.2", number[0]))
        if request is not None:
            number[0] = request.id
            exchange.say(Progress(Step.INSTALLING, "", "", request.id))

    number = [0]
    (tmp_path / "image").write_bytes(IMAGE)
    installer = ExchangeInstaller(exchange, root_works)
    if done is None:
        with pytest.raises(InstallFailed, match="text"):
            await installer.install(tmp_path / "image")
    else:
        assert await installer.install(tmp_path / "image") is done
    assert exchange.taken.read_bytes() == IMAGE
    exchange.say(Progress(Step.INSTALLED))
    assert await installer.confirmed(tmp_path / "image")
    exchange.say(Progress(Step.FAILED))
    assert not await installer.confirmed(tmp_path / "image")


async def test_what_an_earlier_update_ended_with_is_not_told_of_one_that_a_power_cut_ended(tmp_path):
    """The power goes at each instant of handing over: before the image, before the request, before it is taken."""
    exchange = Exchange(tmp_path)

    async def root_works(seconds):
        if (request := exchange.take()) is not None:
            exchange.say(Progress(Step.INSTALLED, "", "1.3", request.id))

    installer = ExchangeInstaller(exchange, root_works)
    image = tmp_path / "image"
    exchange.say(Progress(Step.INSTALLED, "", "1.2", 1))
    image.write_bytes(IMAGE)
    assert not await installer.confirmed(image)
    with pytest.MonkeyPatch.context() as power:
        power.setattr(exchange, "_request", tmp_path / "no-folder" / "request.json")
        with pytest.raises(InstallFailed):
            await installer.install(image)
    assert not await installer.confirmed(image)
    exchange.ask(Request(2))
    assert await installer.confirmed(image)


async def test_an_update_that_was_told_as_failed_is_not_installed_later(tmp_path, monkeypatch):
    monkeypatch.setattr(installer_module, "NOTICED_S", 2.0)
    exchange = Exchange(tmp_path)
    (tmp_path / "image").write_bytes(IMAGE)

    async def nobody(seconds):
        pass

    with pytest.raises(InstallFailed, match="no program took the image"):
        await ExchangeInstaller(exchange, nobody).install(tmp_path / "image")
    assert exchange.take() is None
