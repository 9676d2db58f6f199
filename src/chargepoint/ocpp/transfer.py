"""Files to and from a URL: http, https, ftp, ftps, with the standard library, in a thread that can be told to stop.

A URL that names a directory (its last segment has no dot, and there is no query) gets the file's name appended.
Passive FTP; `ftps` is FTP with AUTH TLS. Servers are checked against the operating system's authorities.
"""

import asyncio
import base64
import contextlib
import ftplib
import hashlib
import http.client
import io
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

SOCKET_TIMEOUT_S: Final = 30.0
TOTAL_TIMEOUT_S: Final = 3600.0
BLOCK: Final = 1 << 16
MAX_DOWNLOAD: Final = 1 << 30
"""Bytes; more is no firmware of this charge point."""
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


class Progress:
    """Between the thread and who may stop it; also bounds the whole transfer."""

    def __init__(self) -> None:
        self._stopped = threading.Event()
        self._until = time.monotonic() + TOTAL_TIMEOUT_S

    def stop(self) -> None:
        self._stopped.set()

    def check(self) -> None:
        if self._stopped.is_set():
            raise TransferStopped("cancelled")
        if time.monotonic() > self._until:
            raise TransferFailed(Failure.OTHER, f"the transfer took longer than {TOTAL_TIMEOUT_S:g} s")


async def download(url: str, target: Path) -> Fetched:
    """Fetch a URL into a file; what is left of a failed download is removed. Raises TransferFailed."""
    fetched: Fetched = await _in_thread(lambda progress: _download(url, target, progress))
    return fetched


async def upload(url: str, name: str, content: bytes) -> None:
    """Bring bytes to a URL under a name. Raises TransferFailed."""
    await _in_thread(lambda progress: _upload(url, name, content, progress))


async def _in_thread(work: Callable[[Progress], Any]) -> Any:
    progress = Progress()
    task = asyncio.ensure_future(asyncio.to_thread(_translated, work, progress))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        progress.stop()
        await asyncio.wait({task}, timeout=SOCKET_TIMEOUT_S)
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
        raise TransferFailed(Failure.UNSUPPORTED, f"{url!r} is not a URL of {', '.join(SCHEMES)}")
    return parts


def destination(url: str, name: str) -> str:
    """Path (and query) of a file in the place a URL names."""
    parts = urlsplit(url)
    path = parts.path or "/"
    if parts.query:
        return f"{path}?{parts.query}"
    return path if "." in path.rpartition("/")[2] else f"{path.rstrip('/')}/{name}"


# --- download --------------------------------------------------------------------------------------------------------


def _download(url: str, target: Path, progress: Progress) -> Fetched:
    parts = _parts(url)
    digest, size = hashlib.sha256(), 0

    def take(block: bytes) -> None:
        nonlocal size
        progress.check()
        size += len(block)
        if size > MAX_DOWNLOAD:
            raise TransferFailed(Failure.OTHER, f"the file is larger than {MAX_DOWNLOAD} bytes")
        digest.update(block)
        file.write(block)

    try:
        with target.open("wb") as file:
            if parts.scheme.startswith("ftp"):
                with _ftp(parts) as ftp:
                    ftp.retrbinary(f"RETR {unquote(parts.path)}", take, BLOCK)
            else:
                _http_download(url, take)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return Fetched(size, digest.digest())


def _http_download(url: str, take: Callable[[bytes], None], redirects: int = 0) -> None:
    parts = _parts(url)
    with contextlib.closing(_http(parts)) as connection:
        connection.request("GET", _target(parts), headers=_headers(parts))
        answer = connection.getresponse()
        if answer.status in (301, 302, 303, 307, 308) and redirects < MAX_REDIRECTS:
            _http_download(urljoin(url, answer.getheader("Location", "")), take, redirects + 1)
            return
        _judge(answer.status, answer.reason)
        expected, received = answer.length, 0
        while block := answer.read(BLOCK):
            received += len(block)
            take(block)
        if expected is not None and received != expected:
            raise TransferFailed(Failure.OTHER, f"the file ended after {received} of {expected} bytes")


def _target(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


# --- upload ----------------------------------------------------------------------------------------------------------


def _upload(url: str, name: str, content: bytes, progress: Progress) -> None:
    parts = _parts(url)
    path = destination(url, name)
    progress.check()
    if parts.scheme.startswith("ftp"):
        with _ftp(parts) as ftp:
            ftp.storbinary(f"STOR {unquote(path)}", io.BytesIO(content), BLOCK, lambda block: progress.check())
        return
    for method in ("PUT", "POST"):
        with contextlib.closing(_http(parts)) as connection:
            connection.request(method, path, body=content, headers=_headers(parts))
            answer = connection.getresponse()
            answer.read(BLOCK)
            if answer.status not in (405, 501) or method == "POST":
                _judge(answer.status, answer.reason)
                return


# --- both ------------------------------------------------------------------------------------------------------------


def _http(parts: SplitResult) -> http.client.HTTPConnection:
    host = parts.hostname or ""
    if parts.scheme == "https":
        return http.client.HTTPSConnection(
            host, parts.port, timeout=SOCKET_TIMEOUT_S, context=ssl.create_default_context()
        )
    return http.client.HTTPConnection(host, parts.port, timeout=SOCKET_TIMEOUT_S)


def _headers(parts: SplitResult) -> dict[str, str]:
    headers = {"User-Agent": "chargepoint"}
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    return headers


@contextlib.contextmanager
def _ftp(parts: SplitResult) -> Iterator[ftplib.FTP]:
    secure = parts.scheme == "ftps"
    ftp = (
        ftplib.FTP_TLS(timeout=SOCKET_TIMEOUT_S, context=ssl.create_default_context())
        if secure
        else ftplib.FTP(timeout=SOCKET_TIMEOUT_S)
    )
    with ftp:
        ftp.connect(parts.hostname or "", parts.port or ftplib.FTP_PORT)
        ftp.login(unquote(parts.username or ""), unquote(parts.password or ""))
        if isinstance(ftp, ftplib.FTP_TLS):
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
