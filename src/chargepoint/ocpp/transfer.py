"""Files to and from a URL: http, https, ftp, ftps, with the standard library, in a thread that can be told to stop.

A URL that names a directory (its last segment has no dot, and there is no query) gets the file's name appended.
Passive FTP; `ftps` is FTP with AUTH TLS, control and data. Servers are checked, certificate and name, against the
operating system's authorities and the roots that are given. An interrupted download can be gone on with where it
stopped, if the server says by which sign it knows the file again.
"""

import asyncio
import base64
import contextlib
import ftplib
import hashlib
import http.client
import io
import os
import shutil
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

import structlog

log = structlog.get_logger("ocpp.transfer")

SOCKET_TIMEOUT_S: Final = 30.0
TOTAL_TIMEOUT_S: Final = 3600.0
BLOCK: Final = 1 << 16
MAX_DOWNLOAD: Final = 1 << 30
"""Bytes; more is no firmware of this charge point."""
DISK_RESERVE: Final = 64 << 20
"""Bytes a download leaves free: the journal lives on the same disk, and a full one would cost transactions."""
MAX_REDIRECTS: Final = 5
SCHEMES: Final = ("http", "https", "ftp", "ftps")


class Failure(StrEnum):
    UNSUPPORTED = "unsupported"
    """The protocol, or the operation on that server."""
    PERMISSION = "permission"
    BAD_MESSAGE = "bad-message"
    """The server does not speak its protocol."""
    OTHER = "other"


class TransferFailed(Exception):
    """The sentence says why; `kind` says it in the terms of a LogStatusNotification."""

    def __init__(self, kind: Failure, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind


class TransferStopped(Exception):
    """The transfer was cancelled."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A downloaded file: its length and SHA-256."""

    size: int
    sha256: bytes


@dataclass(slots=True)
class Partial:
    """What an interrupted download has left, to be gone on with: hand the same one to the next attempt."""

    size: int = 0
    """Bytes in the file."""
    sign: str = ""
    """By which the server knows the file again (a strong ETag, or length and time); empty: begin anew."""


class Progress:
    """Between the thread and who may stop it; also bounds the whole transfer."""

    def __init__(self) -> None:
        self._stopped = threading.Event()
        self._until = time.monotonic() + TOTAL_TIMEOUT_S
        self._sockets: list[socket.socket] = []

    def reads(self, connection: socket.socket | None) -> None:
        """A socket the thread may wait for."""
        if connection is not None:
            self._sockets.append(connection)

    def stop(self) -> None:
        """End the transfer, also in the middle of a wait."""
        self._stopped.set()
        for connection in self._sockets:
            with contextlib.suppress(OSError):  # it may be closed by now
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def check(self) -> None:
        if self._stopped.is_set():
            raise TransferStopped("cancelled")
        if time.monotonic() > self._until:
            raise TransferFailed(Failure.OTHER, f"the transfer took longer than {TOTAL_TIMEOUT_S:g} s")


async def download(url: str, target: Path, roots: str = "", partial: Partial | None = None) -> Fetched:
    """Fetch a URL into a file. Raises TransferFailed.

    `roots`: PEM of authorities trusted beside the operating system's. What is left of a failed download is removed,
    unless `partial` is given and it can be gone on with.
    """
    kept = partial or Partial()
    try:
        fetched: Fetched = await _in_thread(lambda progress: _download(url, target, roots, kept, progress))
    except BaseException:
        if partial is None or not kept.sign:
            kept.size = 0
            await asyncio.to_thread(target.unlink, True)
        raise
    return fetched


async def upload(url: str, name: str, content: bytes, roots: str = "") -> None:
    """Bring bytes to a URL under a name; `roots` as for `download`. Raises TransferFailed."""
    await _in_thread(lambda progress: _upload(url, name, content, roots, progress))


async def _in_thread(work: Callable[[Progress], Any]) -> Any:
    progress = Progress()
    task = asyncio.ensure_future(asyncio.to_thread(_translated, work, progress))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        progress.stop()
        done, _ = await asyncio.wait({task}, timeout=SOCKET_TIMEOUT_S)
        for over in done:
            if (error := over.exception()) is not None:
                log.info("transfer cancelled", reason=str(error))
        raise


def _translated(work: Callable[[Progress], Any], progress: Progress) -> Any:
    """Everything a transfer can meet as TransferFailed."""
    try:
        return work(progress)
    except ftplib.error_perm as error:
        refused = str(error)[:3] in ("530", "532", "550", "553")
        kind = Failure.PERMISSION if refused else Failure.UNSUPPORTED
        raise TransferFailed(kind, f"the server said {error}") from error
    except (ftplib.Error, http.client.HTTPException, EOFError) as error:
        raise TransferFailed(Failure.BAD_MESSAGE, f"the server answered strangely: {error!r}") from error
    except (OSError, ValueError) as error:
        raise TransferFailed(Failure.OTHER, str(error) or type(error).__name__) from error


def _parts(url: str) -> SplitResult:
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES or not parts.hostname:
        shown = url.rpartition("@")[2]  # it is logged: never with a name and a password
        raise TransferFailed(Failure.UNSUPPORTED, f"{shown!r} is not a URL of {', '.join(SCHEMES)}")
    return parts


def destination(url: str, name: str) -> str:
    """Path (and query) of a file in the place a URL names."""
    parts = urlsplit(url)
    path = parts.path or "/"
    if parts.query:
        return f"{path}?{parts.query}"
    return path if "." in path.rpartition("/")[2] else f"{path.rstrip('/')}/{name}"


# --- download --------------------------------------------------------------------------------------------------------


class _Sink:
    """The file a download grows in: counted, hashed, and never so large that the disk is full."""

    def __init__(self, target: Path, partial: Partial, progress: Progress) -> None:
        self._target = target
        self._partial = partial
        self._progress = progress
        self._digest = hashlib.sha256()
        self._room_left = 0
        self._file = target.open("r+b" if partial.size else "wb")
        if partial.size:
            self._again()

    def _again(self) -> None:
        """Read what is there already, for its hash."""
        self._file.truncate(min(self._partial.size, os.fstat(self._file.fileno()).st_size))
        while block := self._file.read(BLOCK):
            self._progress.check()
            self._digest.update(block)
        self._partial.size = self._file.tell()

    def restart(self) -> None:
        """Forget what is there: the server begins anew."""
        self._file.seek(0)
        self._file.truncate()
        self._digest = hashlib.sha256()
        self._partial.size = 0

    def expect(self, length: int) -> None:
        """So many bytes are to come. Raises TransferFailed when they do not fit."""
        if self._partial.size + length > MAX_DOWNLOAD:
            raise TransferFailed(Failure.OTHER, f"the file is larger than {MAX_DOWNLOAD} bytes")
        self._room(length)

    def take(self, block: bytes) -> None:
        self._progress.check()
        if self._partial.size + len(block) > MAX_DOWNLOAD:
            raise TransferFailed(Failure.OTHER, f"the file is larger than {MAX_DOWNLOAD} bytes")
        if len(block) > self._room_left:
            self._room(len(block))
        self._file.write(block)
        self._room_left -= len(block)
        self._digest.update(block)
        self._partial.size += len(block)

    def _room(self, length: int) -> None:
        self._room_left = shutil.disk_usage(self._target.parent).free - DISK_RESERVE
        if length > self._room_left:
            raise TransferFailed(
                Failure.OTHER,
                f"the disk is too full: {max(0, self._room_left)} bytes may be used, {length} are needed at least, and "
                f"{DISK_RESERVE} stay free for the journal",
            )
        self._room_left = min(self._room_left, 1 << 24)  # others write too: look again now and then

    def done(self) -> Fetched:
        return Fetched(self._partial.size, self._digest.digest())

    def close(self) -> None:
        self._file.close()


def _download(url: str, target: Path, roots: str, partial: Partial, progress: Progress) -> Fetched:
    parts = _parts(url)
    if not partial.sign or not target.is_file():
        partial.size = 0
    with contextlib.closing(_Sink(target, partial, progress)) as sink:
        if parts.scheme.startswith("ftp"):
            _ftp_download(parts, roots, sink, partial, progress)
        else:
            _http_download(url, roots, sink, partial, progress)
        return sink.done()


def _ftp_download(parts: SplitResult, roots: str, sink: _Sink, partial: Partial, progress: Progress) -> None:
    path = unquote(parts.path)
    with _ftp(parts, roots, progress) as ftp:
        ftp.voidcmd("TYPE I")
        length = sign = ""
        with contextlib.suppress(ftplib.error_perm):  # a server need not know these
            length = ftp.sendcmd(f"SIZE {path}")[4:].strip()
            sign = f"{length} {ftp.sendcmd(f'MDTM {path}')[4:].strip()}"
        if partial.size and (not sign or sign != partial.sign):
            sink.restart()
        partial.sign = sign
        if length.isdigit():
            sink.expect(int(length) - partial.size)
        ftp.retrbinary(f"RETR {path}", sink.take, BLOCK, rest=partial.size or None)
        if length.isdigit() and partial.size != int(length):
            raise TransferFailed(Failure.OTHER, f"the file ended after {partial.size} of {length} bytes")


def _http_download(url: str, roots: str, sink: _Sink, partial: Partial, progress: Progress, redirects: int = 0) -> None:
    parts = _parts(url)
    headers = _headers(parts)
    if partial.size:
        headers |= {"Range": f"bytes={partial.size}-", "If-Range": partial.sign}
    with contextlib.closing(_http(parts, roots)) as connection:
        connection.connect()
        progress.reads(connection.sock)
        connection.request("GET", _target(parts), headers=headers)
        answer = connection.getresponse()
        if answer.status in (301, 302, 303, 307, 308) and redirects < MAX_REDIRECTS:
            further = urljoin(url, answer.getheader("Location", ""))
            if parts.scheme == "https" and not further.startswith("https:"):
                shown = further.rpartition("@")[2]
                raise TransferFailed(Failure.PERMISSION, f"the server leads away from https, to {shown!r}")
            _http_download(further, roots, sink, partial, progress, redirects + 1)
            return
        _judge(answer.status, answer.reason)
        if answer.status == 206 and answer.getheader("Content-Range", "").startswith(f"bytes {partial.size}-"):
            pass  # from where it stopped
        elif answer.status == 206:
            raise TransferFailed(Failure.BAD_MESSAGE, "the server sent another part than the one that was asked for")
        elif partial.size:
            sink.restart()
        etag = answer.getheader("ETag", "")
        partial.sign = etag if etag.startswith('"') else ""
        expected, begun = answer.length, partial.size
        if expected is not None:
            sink.expect(expected)
        while block := answer.read(BLOCK):
            sink.take(block)
        if expected is not None and partial.size - begun != expected:
            raise TransferFailed(Failure.OTHER, f"the file ended after {partial.size} of {begun + expected} bytes")


def _target(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


# --- upload ----------------------------------------------------------------------------------------------------------


def _upload(url: str, name: str, content: bytes, roots: str, progress: Progress) -> None:
    parts = _parts(url)
    path = destination(url, name)
    progress.check()
    if parts.scheme.startswith("ftp"):
        with _ftp(parts, roots, progress) as ftp:
            ftp.storbinary(f"STOR {unquote(path)}", io.BytesIO(content), BLOCK, lambda block: progress.check())
        return
    for method in ("PUT", "POST"):
        with contextlib.closing(_http(parts, roots)) as connection:
            connection.connect()
            progress.reads(connection.sock)
            connection.request(method, path, body=content, headers=_headers(parts))
            answer = connection.getresponse()
            answer.read(BLOCK)
            if answer.status not in (405, 501) or method == "POST":
                _judge(answer.status, answer.reason)
                return


# --- both ------------------------------------------------------------------------------------------------------------


def _tls(roots: str) -> ssl.SSLContext:
    """TLS 1.2 or later, with a check of certificate and name."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if roots:
        context.load_verify_locations(cadata=roots)
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # an installed root need not be self-signed
    return context


def _http(parts: SplitResult, roots: str) -> http.client.HTTPConnection:
    host = parts.hostname or ""
    if parts.scheme == "https":
        return http.client.HTTPSConnection(host, parts.port, timeout=SOCKET_TIMEOUT_S, context=_tls(roots))
    return http.client.HTTPConnection(host, parts.port, timeout=SOCKET_TIMEOUT_S)


def _headers(parts: SplitResult) -> dict[str, str]:
    headers = {"User-Agent": "chargepoint"}
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    return headers


class _Ftp(ftplib.FTP):
    """Tells which socket its data come from."""

    progress: Progress

    def ntransfercmd(self, cmd: str, rest: int | str | None = None) -> tuple[socket.socket, int | None]:
        connection, size = super().ntransfercmd(cmd, rest)
        self.progress.reads(connection)
        return connection, size


class _Ftps(ftplib.FTP_TLS):
    """The same; and the data go on with the control connection's TLS session, without which many servers refuse."""

    progress: Progress

    def ntransfercmd(self, cmd: str, rest: int | str | None = None) -> tuple[socket.socket, int | None]:
        connection, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
        control = self.sock
        session = control.session if isinstance(control, ssl.SSLSocket) else None
        secure = self.context.wrap_socket(connection, server_hostname=self.host, session=session)
        self.progress.reads(secure)
        return secure, size


@contextlib.contextmanager
def _ftp(parts: SplitResult, roots: str, progress: Progress) -> Iterator[ftplib.FTP]:
    ftp: _Ftp | _Ftps
    if parts.scheme == "ftps":
        ftp = _Ftps(timeout=SOCKET_TIMEOUT_S, context=_tls(roots))
    else:
        ftp = _Ftp(timeout=SOCKET_TIMEOUT_S)
    ftp.progress = progress
    with ftp:
        ftp.connect(parts.hostname or "", parts.port or ftplib.FTP_PORT)
        progress.reads(ftp.sock)
        if isinstance(ftp, _Ftps):
            ftp.auth()  # before the password, and with the name checked
        ftp.login(unquote(parts.username or ""), unquote(parts.password or ""))
        if isinstance(ftp, _Ftps):
            ftp.prot_p()
        yield ftp


def _judge(status: int, reason: str) -> None:
    if 200 <= status < 300:
        return
    kind = Failure.OTHER
    if status in (401, 403):
        kind = Failure.PERMISSION
    elif status in (405, 501):
        kind = Failure.UNSUPPORTED
    elif status == 400:
        kind = Failure.BAD_MESSAGE
    raise TransferFailed(kind, f"the server answered HTTP {status} {reason}")
