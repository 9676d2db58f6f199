"""How files travel: http, https, ftp, ftps, against servers of each kind on loopback, with a CA of the tests' own."""

import asyncio
import base64
import hashlib
import ssl
import time

import pytest
from file_servers import IMAGE, Ftp, Web, serving, tls_context
from pki import Authority

from chargepoint.ocpp import transfer
from chargepoint.ocpp.transfer import Failure, Partial, TransferFailed, destination, download, upload

pytestmark = pytest.mark.asyncio


@pytest.fixture
def web():
    with serving(Web()) as server:
        yield server


@pytest.fixture
def ftp():
    with serving(Ftp()) as server:
        yield server


@pytest.fixture(scope="module")
def authority():
    return Authority("Operator")


SERVERS = {"https": Web, "ftps": Ftp}


@pytest.fixture(params=["https", "ftps"])
def secure(request, authority, tmp_path):
    """A server of either kind behind TLS."""
    tls_dir = tmp_path / "tls"
    tls_dir.mkdir()
    with serving(SERVERS[request.param](tls_context(authority, directory=tls_dir))) as server:
        yield server


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
    cases = [
        ("gopher://h/x", Failure.UNSUPPORTED),
        ("no url", Failure.UNSUPPORTED),
        (web.url + "/missing", Failure.OTHER),
        (web.url + "/fw.bin", Failure.OTHER),
        ("http://127.0.0.1:1/x", Failure.OTHER),
        (ftp.url.replace("secret", "wrong") + "/fw.bin", Failure.PERMISSION),
    ]
    web.cuts = [1000]
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


# --- TLS ---


async def test_download_and_upload_over_tls_with_a_root_of_ones_own(secure, authority, tmp_path):
    fetched = await download(secure.url + "/fw.bin", tmp_path / "image", authority.pem)
    assert (fetched.size, fetched.sha256) == (len(IMAGE), hashlib.sha256(IMAGE).digest())
    assert (tmp_path / "image").read_bytes() == IMAGE
    await upload(secure.url + "/in/", "log.txt", b"text" * 50_000, authority.pem)
    assert secure.taken == {"/in/log.txt": b"text" * 50_000}


async def test_a_root_that_is_no_authority_of_its_own_is_enough(secure_below, authority, tmp_path):
    server, below = secure_below
    await download(server.url + "/fw.bin", tmp_path / "image", below.pem)
    assert (tmp_path / "image").read_bytes() == IMAGE


@pytest.fixture
def secure_below(authority, tmp_path):
    below = Authority("Below", parent=authority)
    with serving(Web(tls_context(below, directory=tmp_path))) as server:
        yield server, below


@pytest.mark.parametrize("roots", ["none", "foreign"])
async def test_a_server_of_another_authority_gets_and_gives_nothing(secure, tmp_path, roots):
    pem = Authority("Foreign").pem if roots == "foreign" else ""
    with pytest.raises(TransferFailed, match="certificate verify failed"):
        await download(secure.url + "/fw.bin", tmp_path / "image", pem)
    assert not (tmp_path / "image").exists()
    with pytest.raises(TransferFailed, match="certificate verify failed"):
        await upload(secure.url + "/in/", "log.txt", b"text", pem)
    assert secure.taken == {}


@pytest.mark.parametrize("kind", ["https", "ftps"])
@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"host": "elsewhere"}, "Hostname mismatch"),
        ({"days": (-9, -1)}, "certificate has expired"),
        ({"version": ssl.TLSVersion.TLSv1_1}, "version|protocol|handshake"),
    ],
)
async def test_a_server_of_another_name_out_of_date_or_with_old_tls_is_refused(authority, tmp_path, kind, wrong, why):
    with serving(SERVERS[kind](tls_context(authority, directory=tmp_path, **wrong))) as server:
        with pytest.raises(TransferFailed, match=f"(?i){why}"):
            await download(server.url + "/fw.bin", tmp_path / "image", authority.pem)
        assert not (tmp_path / "image").exists()


async def test_ftps_shows_the_password_to_nobody_before_tls_and_encrypts_the_data(authority, tmp_path):
    with serving(Ftp(tls_context(authority, directory=tmp_path), strict=True)) as server:
        await download(server.url + "/fw.bin", tmp_path / "image", authority.pem)
        assert server.words.index("AUTH") < server.words.index("USER")
        assert server.words.index("PROT") < server.words.index("RETR")


async def test_an_ftp_server_without_tls_gets_no_password(ftp, tmp_path):
    with pytest.raises(TransferFailed):
        await download(ftp.url.replace("ftp:", "ftps:") + "/fw.bin", tmp_path / "image")
    assert "USER" not in ftp.words


async def test_https_is_not_led_away_to_http(web, authority, tmp_path):
    with serving(Web(tls_context(authority, directory=tmp_path))) as server:
        server.moved = {"/moved": web.url + "/fw.bin", "/inside": "/fw.bin"}
        with pytest.raises(TransferFailed, match="away from https"):
            await download(server.url + "/moved", tmp_path / "image", authority.pem)
        assert web.requests == []
        await download(server.url + "/inside", tmp_path / "image", authority.pem)


# --- broken off ---------------------------------------------------------------------------


async def interrupted(server, target, roots="", tag='"v1"'):
    """Two attempts fail on their way, the third is to come; what is there so far."""
    server.cuts = [100_000, 50_000]
    partial = Partial()
    for _ in range(2):
        with pytest.raises(TransferFailed):
            await download(server.url + "/fw.bin", target, roots, partial)
    return partial


async def test_an_interrupted_download_goes_on_where_it_stopped(secure, authority, tmp_path):
    secure.tag = '"v1"'
    partial = await interrupted(secure, tmp_path / "image", authority.pem)
    assert partial.size == (tmp_path / "image").stat().st_size == 150_000
    fetched = await download(secure.url + "/fw.bin", tmp_path / "image", authority.pem, partial)
    assert (fetched.size, fetched.sha256) == (len(IMAGE), hashlib.sha256(IMAGE).digest())
    assert (tmp_path / "image").read_bytes() == IMAGE
    asked = secure.ranges if isinstance(secure, Web) else secure.rests
    assert [str(one) for one in asked if one] in (["bytes=100000-", "bytes=150000-"], ["100000", "150000"])


async def test_a_file_that_was_exchanged_meanwhile_is_fetched_from_its_beginning(secure, authority, tmp_path):
    secure.tag = '"v1"'
    partial = await interrupted(secure, tmp_path / "image", authority.pem)
    secure.files["/fw.bin"], secure.tag, secure.time = IMAGE[::-1], '"v2"', "20260302120000"
    fetched = await download(secure.url + "/fw.bin", tmp_path / "image", authority.pem, partial)
    assert fetched.sha256 == hashlib.sha256(IMAGE[::-1]).digest()
    assert (tmp_path / "image").read_bytes() == IMAGE[::-1]


async def test_a_server_that_cannot_go_on_is_asked_for_the_whole_file_again(secure, authority, tmp_path):
    secure.tag, secure.time = "", ""
    partial = await interrupted(secure, tmp_path / "image", authority.pem)
    assert not (tmp_path / "image").exists()
    await download(secure.url + "/fw.bin", tmp_path / "image", authority.pem, partial)
    assert (tmp_path / "image").read_bytes() == IMAGE


async def test_a_part_that_got_lost_on_the_disk_is_fetched_again(web, tmp_path):
    web.tag = '"v1"'
    partial = await interrupted(web, tmp_path / "image")
    (tmp_path / "image").write_bytes(IMAGE[:70_000])
    fetched = await download(web.url + "/fw.bin", tmp_path / "image", "", partial)
    assert fetched.sha256 == hashlib.sha256(IMAGE).digest()


async def test_a_download_that_is_cancelled_ends_at_once_though_the_server_is_silent(web, ftp, tmp_path):
    for server in (web, ftp):
        server.hold.clear()
        task = asyncio.create_task(download(server.url + "/fw.bin", tmp_path / "image"))
        await asyncio.sleep(0.2)
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - began < 2
        assert not (tmp_path / "image").exists()
        server.hold.set()


# --- the disk ---------------------------------------------------------------------------


async def test_a_full_disk_ends_a_download_and_leaves_nothing(secure, authority, tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "image").symlink_to("/dev/full")  # every write fails with ENOSPC
    with pytest.raises(TransferFailed, match="No space left"):
        await download(secure.url + "/fw.bin", tmp_path / "state" / "image", authority.pem)
    assert list((tmp_path / "state").iterdir()) == []


async def test_a_download_leaves_room_for_the_journal(web, ftp, tmp_path, monkeypatch):
    free = [transfer.DISK_RESERVE + len(IMAGE) - 1]
    monkeypatch.setattr(transfer.shutil, "disk_usage", lambda path: type("Usage", (), {"free": free[0]}))
    for server in (web, ftp):
        with pytest.raises(TransferFailed, match="stay free for the journal"):
            await download(server.url + "/fw.bin", tmp_path / "image")
        assert not (tmp_path / "image").exists()
    free[0] += 1
    await download(web.url + "/fw.bin", tmp_path / "image")
