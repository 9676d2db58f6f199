"""Logs and firmware: uploads, downloads, statuses in order, restarts, what goes wrong."""

import asyncio
import base64
import errno
import http.server
import json
import socketserver
import threading

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from pki import Authority

from chargepoint.ocpp import installer as installer_module
from chargepoint.ocpp.installer import ExchangeInstaller, InstallFailed
from chargepoint.ocpp.transfer import Failure, TransferFailed, destination, download, upload
from chargepoint.sim.central_system import CallFailed
from chargepoint.update.request import Exchange, Progress, Step

pytestmark = pytest.mark.asyncio
IMAGE = bytes(range(256)) * 1000


class Web(http.server.ThreadingHTTPServer):
    """Serves `files`, takes uploads into `taken`; the first answers are those of `failures`, once each."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), WebHandler)
        self.files = {"/fw.bin": IMAGE}
        self.taken = {}
        self.failures = []
        self.requests = []
        self.hold = threading.Event()
        self.hold.set()
        self.url = f"http://user:pass%20word@127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address):
        """A cancelled transfer closes its connection."""


class WebHandler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def _begin(self):
        self.server.requests.append((self.command, self.path, self.headers.get("Authorization")))
        self.server.hold.wait(5)
        if self.server.failures:
            self.send_error(self.server.failures.pop(0))
            return False
        return True

    def do_GET(self):
        if not self._begin():
            return
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/fw.bin")
            self.end_headers()
            return
        body = self.server.files.get(self.path)
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body) + (10 if self.path == "/cut.bin" else 0)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self._begin():
            self.server.taken[self.path] = body
            self.send_response(201)
            self.send_header("Content-Length", "0")
            self.end_headers()

    do_POST = do_PUT


class FtpHandler(socketserver.StreamRequestHandler):
    """The few commands a passive transfer needs."""

    def say(self, text):
        self.wfile.write(f"{text}\r\n".encode())

    def handle(self):
        passive = None
        self.say("220 hello")
        for raw in self.rfile:
            word, _, argument = raw.decode().strip().partition(" ")
            if word == "USER":
                self.say("331 password")
            elif word == "PASS":
                self.say("230 in" if argument == "secret" else "530 no")
            elif word in ("EPSV", "PASV"):
                passive = socketserver.socket.create_server(("127.0.0.1", 0))
                port = passive.getsockname()[1]
                self.say(f"229 ok (|||{port}|)" if word == "EPSV" else f"227 ok (127,0,0,1,{port // 256},{port % 256})")
            elif word in ("STOR", "RETR"):
                self.say("150 go")
                connection, _ = passive.accept()
                with connection, passive:
                    if word == "RETR":
                        connection.sendall(self.server.files[argument])
                    else:
                        self.server.taken[argument] = b"".join(iter(lambda c=connection: c.recv(65536), b""))
                self.say("226 done")
            elif word == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("200 ok")


class Ftp(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), FtpHandler)
        self.files = {"/fw.bin": IMAGE}
        self.taken = {}
        self.url = f"ftp://user:secret@127.0.0.1:{self.server_address[1]}"


@pytest.fixture
def web():
    with Web() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield server
        server.hold.set()
        server.shutdown()


@pytest.fixture
def ftp():
    with Ftp() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield server
        server.shutdown()


# --- transfers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("http://h/logs/", "/logs/n.txt"),
        ("http://h/logs", "/logs/n.txt"),
        ("http://h", "/n.txt"),
        ("http://h/logs/x.gz", "/logs/x.gz"),
        ("https://h/put?signature=1", "/put?signature=1"),
    ],
)
async def test_a_directory_gets_the_name_of_the_file(url, path):
    assert destination(url, "n.txt") == path


async def test_download_and_upload_over_http(web, tmp_path):
    for name in ("/fw.bin", "/moved"):
        fetched = await download(web.url + name, tmp_path / "image")
        assert fetched.size == len(IMAGE)
        assert (tmp_path / "image").read_bytes() == IMAGE
    await upload(web.url + "/in", "log.txt", b"text")
    assert web.taken == {"/in/log.txt": b"text"}
    assert base64.b64decode(web.requests[0][2].removeprefix("Basic ")) == b"user:pass word"


async def test_an_upload_falls_back_to_post(web):
    web.failures = [405]
    await upload(web.url + "/in/x.txt", "log.txt", b"text")
    assert [request[0] for request in web.requests] == ["PUT", "POST"]


async def test_download_and_upload_over_ftp(ftp, tmp_path):
    await download(ftp.url + "/fw.bin", tmp_path / "image")
    assert (tmp_path / "image").read_bytes() == IMAGE
    await upload(ftp.url + "/in/", "log.txt", b"text")
    assert ftp.taken == {"/in/log.txt": b"text"}


async def test_failures_have_their_kind_and_leave_no_file(web, ftp, tmp_path):
    web.files["/cut.bin"] = IMAGE
    cases = [
        ("gopher://h/x", Failure.UNSUPPORTED),
        ("no url", Failure.UNSUPPORTED),
        (web.url + "/missing", Failure.OTHER),
        (web.url + "/cut.bin", Failure.OTHER),
        ("http://127.0.0.1:1/x", Failure.OTHER),
        (ftp.url.replace("secret", "wrong") + "/fw.bin", Failure.PERMISSION),
    ]
    for url, kind in cases:
        with pytest.raises(TransferFailed) as failure:
            await download(url, tmp_path / "image")
        assert failure.value.kind is kind, url
        assert not (tmp_path / "image").exists()
    for status, kind in ((403, Failure.PERMISSION), (400, Failure.BAD_MESSAGE), (500, Failure.OTHER)):
        web.failures = [status]
        with pytest.raises(TransferFailed) as failure:
            await upload(web.url + "/in/x.txt", "x", b"")
        assert failure.value.kind is kind


async def test_a_full_disk_ends_a_download_and_leaves_nothing(web, tmp_path, monkeypatch):
    class Full:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.file.close()

        def write(self, block):
            raise OSError(errno.ENOSPC, "No space left on device")

    path_type = type(tmp_path)
    usual = path_type.open
    monkeypatch.setattr(path_type, "open", lambda self, *a, **k: Full(usual(self, *a, **k)))
    with pytest.raises(TransferFailed, match="No space left"):
        await download(web.url + "/fw.bin", tmp_path / "image")
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


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
        self.images = []

    async def install(self, image):
        if self.fail:
            raise InstallFailed("it does not fit")
        self.images.append(image.read_bytes())
        return not self.restart

    async def confirmed(self):
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
        ("set_availability", 1, False),
        ("set_availability", 2, False),
        ("set_availability", 1, True),
        ("set_availability", 2, True),
    ]
    mark = central.mark()
    await central.call("ExtendedTriggerMessage", {"requestedMessage": "FirmwareStatusNotification"})
    idle = await central.wait_for("SignedFirmwareStatusNotification", after=mark)
    assert idle.payload == {"status": "Idle"}


async def test_a_wrong_signature_is_not_installed(updated, central, web, maker, installer):
    await central.call("SignedUpdateFirmware", signed(maker, web, content=b"another image"))
    assert (await told(central, "InvalidSignature"))[-1] == "InvalidSignature"
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


async def test_a_download_that_fails_is_tried_again_and_then_told(updated, central, web, maker):
    web.failures = [500, 500]
    request = {**signed(maker, web), "retries": 1, "retryInterval": 0}
    await central.call("SignedUpdateFirmware", request)
    assert await told(central, "DownloadFailed") == ["Downloading", "DownloadFailed"]
    web.failures = [500]
    await central.call("SignedUpdateFirmware", request)
    await told(central, "Installed")


async def test_an_installation_that_fails_is_told_and_the_points_come_back(updated, central, web, maker, installer):
    installer.fail = True
    await central.call("SignedUpdateFirmware", signed(maker, web))
    await told(central, "InstallationFailed")
    await central.call("ClearCache")
    assert ("set_availability", 2, True) in updated.station.asked


async def test_installation_waits_for_the_transactions(updated, central, web, maker, installer, monkeypatch):
    monkeypatch.setattr("chargepoint.ocpp.v16.firmware.LOOK_S", 0.01)
    updated.station.transaction_of = lambda evse: 5 if evse == 2 else None
    await central.call("SignedUpdateFirmware", signed(maker, web))
    await told(central, "SignatureVerified")
    await asyncio.sleep(0.1)
    assert installer.images == []
    updated.station.transaction_of = lambda evse: None
    await told(central, "Installed")


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
    installer.running = running
    await start(central, installer=installer)
    assert (await told(central, status))[-1] == status


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
    assert exchange.incoming.read_bytes() == IMAGE
    exchange.say(Progress(Step.INSTALLED))
    assert await installer.confirmed()
    exchange.say(Progress(Step.FAILED))
    assert not await installer.confirmed()
