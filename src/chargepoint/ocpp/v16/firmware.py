"""UpdateFirmware and SignedUpdateFirmware: fetched, verified, installed, reported; across restarts.

The order of a signed update (white paper, L01): DownloadScheduled?, Downloading, Downloaded, SignatureVerified,
InstallScheduled?, Installing, InstallRebooting?, Installed; or the failure that ended it. The unsigned one of the
specification knows only Downloading, Downloaded, Installing and Installed. What is going on lies in the journal.
"""

import asyncio
import hashlib
import sqlite3
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import structlog
from ocpp.v16 import call, call_result
from ocpp.v16.enums import Action, FirmwareStatus, UpdateFirmwareStatus

from chargepoint.journal import store
from chargepoint.journal.journal import Journal
from chargepoint.ocpp import schema
from chargepoint.ocpp.installer import Installer, InstallFailed
from chargepoint.ocpp.rpc import Refusal, Reply, on
from chargepoint.ocpp.timestamps import from_text
from chargepoint.ocpp.transfer import Partial, TransferFailed, download
from chargepoint.ocpp.truststore import TrustStore, Use
from chargepoint.ocpp.v16.reports import Done
from chargepoint.station.api import Outcome, StationApi

AREA: Final = "firmware"
KEY: Final = "job"
LAST: Final = "last-status"
"""What an update ended with, and its request id, until the central system has answered to it."""
RETRIES: Final = 3
RETRY_S: Final = 60
LOOK_S: Final = 1.0
BEGINNING_S: Final = 15.0
"""A session that was just beginning when its point was closed has its transaction by then."""
FILE_NAME: Final = "firmware.image"
_STATUSES: Final = frozenset(status.value for status in FirmwareStatus)
_UNSIGNED: Final = ("Downloading", "Downloaded", "DownloadFailed", "Installing", "Installed", "InstallationFailed")

log = structlog.get_logger("ocpp.firmware")


@dataclass(frozen=True, slots=True)
class Job:
    """One update. Times are UTC seconds."""

    location: str
    retrieve_at: float
    retries: int = RETRIES
    retry_s: int = RETRY_S
    request_id: int | None = None
    """Of a signed update; None: an unsigned one."""
    install_at: float | None = None
    certificate: str = ""
    signature: str = ""
    phase: str = "download"
    """`download`, `install` or `restart`: what a restart of the program has to go on with."""
    status: str = "Idle"
    """Last reported."""
    closed: tuple[tuple[int, int], ...] = ()
    """What was taken out of service for it and is to come back: every evse, with its first connector."""


class Firmware:
    """Handlers of the update messages, and the update itself.

    `report` takes each status notification, `emit` each security event. `unsigned_allowed` is asked before an
    update without a signature is accepted.
    """

    def __init__(
        self,
        journal: Journal,
        station: StationApi,
        trust: TrustStore,
        installer: Installer,
        directory: Path,
        report: Callable[[Any, Done | None], None],
        emit: Callable[[str, str], None],
        utc: Callable[[], float],
        unsigned_allowed: Callable[[], bool],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._journal = journal
        self._station = station
        self._trust = trust
        self._installer = installer
        self._image = directory / FILE_NAME
        self._report = report
        self._emit = emit
        self._utc = utc
        self._unsigned_allowed = unsigned_allowed
        self._sleep = sleep
        self._job: Job | None = None
        self._untold: tuple[str, int | None] | None = None
        """A last status of before a restart that has not been answered."""
        self._task: asyncio.Task[None] | None = None

    async def load(self) -> None:
        """Read what a restart interrupted; `go_on` when the station has recovered."""
        kept, untold = await self._journal.read(lambda db: (store.get(db, AREA, KEY), store.get(db, AREA, LAST)))
        if untold is not None and untold[0] in _STATUSES:
            self._untold = (untold[0], untold[1])
        if kept is None:
            return
        # Once it was points alone.
        closed = tuple((c, 1) if isinstance(c, int) else (c[0], c[1]) for c in kept.get("closed", ()))
        job = store.record(Job, kept, "the update that was under way")
        if job is None or job.status not in _STATUSES:
            job = Job("", 0.0, phase="over")  # of it nothing can be done but give the points back
        self._job = replace(job, closed=closed)

    def go_on(self) -> None:
        """Go on with it. Not before the station knows again what is out of service and which transactions are open."""
        if self._untold is not None:
            self._say(*self._untold, last=True)
        if self._job is None:
            return
        if self._job.phase == "restart":
            self._start(self._after_restart())
        elif self._job.phase in ("download", "install"):
            self._start(self._run())
        elif self._job.closed:
            self._start(self._reopen())

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        self._task = asyncio.create_task(self._guarded(work))

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        """Whatever becomes of an update, the points come back."""
        try:
            await work
        except (OSError, sqlite3.Error) as error:
            log.error("the update broke off", phase=self._the.phase, reason=str(error))
            await self._end("DownloadFailed" if self._the.phase == "download" else "InstallationFailed")

    @property
    def busy(self) -> bool:
        return self._task is not None and not self._task.done()

    # --- messages ------------------------------------------------------------------------------------------------

    @on(Action.update_firmware)
    async def update_firmware(
        self, location: str, retrieve_date: str, retries: int | None = None, retry_interval: int | None = None
    ) -> Reply:
        """Only where the security extension is not in force (L01.FR.20)."""
        if not self._unsigned_allowed():
            raise Refusal("NotSupported", "firmware must be signed: use SignedUpdateFirmware")
        if self._installing:
            raise Refusal("GenericError", "another firmware is being installed")
        job = Job(location, from_text(retrieve_date).timestamp(), *_retries(retries, retry_interval))
        return Reply(call_result.UpdateFirmware(), lambda: self._begin(job))

    @on(Action.signed_update_firmware)
    async def signed_update_firmware(
        self,
        request_id: int,
        firmware: dict[str, Any],
        retries: int | None = None,
        retry_interval: int | None = None,
    ) -> call_result.SignedUpdateFirmware | Reply:
        install = firmware.get("install_date_time")
        job = Job(
            firmware["location"],
            from_text(firmware["retrieve_date_time"]).timestamp(),
            *_retries(retries, retry_interval),
            request_id=request_id,
            install_at=from_text(install).timestamp() if install else None,
            certificate=firmware["signing_certificate"],
            signature=firmware["signature"],
        )
        wrong = self._wrong_with_certificate(job)
        if wrong is not None:
            return call_result.SignedUpdateFirmware(wrong)
        if self._installing:
            return call_result.SignedUpdateFirmware(UpdateFirmwareStatus.rejected)
        status = UpdateFirmwareStatus.accepted_canceled if self.busy else UpdateFirmwareStatus.accepted
        return Reply(call_result.SignedUpdateFirmware(status), lambda: self._begin(job))

    def status(self) -> call.FirmwareStatusNotification:
        """For a trigger: Idle unless an update goes on."""
        going = self.busy and self._the.phase != "over" and self._the.request_id is None
        status = self._the.status if going else "Idle"
        return call.FirmwareStatusNotification(status=FirmwareStatus(status))

    def signed_status(self) -> call.SignedFirmwareStatusNotification:
        """For an extended trigger: the last status, or Idle after Installed (L01.FR.28, L01.FR.29)."""
        job = self._job
        if job is None or job.request_id is None or job.status in ("Installed", "Idle"):
            return call.SignedFirmwareStatusNotification(status=FirmwareStatus.idle, request_id=None)
        return call.SignedFirmwareStatusNotification(status=FirmwareStatus(job.status), request_id=job.request_id)

    # --- the update ----------------------------------------------------------------------------------------------

    @property
    def _installing(self) -> bool:
        return self.busy and self._job is not None and self._job.status in ("Installing", "InstallRebooting")

    def _wrong_with_certificate(self, job: Job) -> UpdateFirmwareStatus | None:
        """Refuse a signing certificate that is not good; the manufacturer's root signs it directly (L01, remarks)."""
        from chargepoint.ocpp import certificates as x

        try:
            certificates = x.read(job.certificate)
            roots = [x.read(root.pem)[0] for root in self._trust.roots(Use.MANUFACTURER)]
            x.check_chain(certificates[:1], roots, self._utc(), early=False)
            x.check_not_revoked(certificates[0], roots, self._trust.revocations)
        except x.BadCertificate as error:
            log.warning("signing certificate refused", reason=str(error))
            self._emit("InvalidFirmwareSigningCertificate", str(error)[: schema.MAX_TEXT])
            revoked = isinstance(error, x.Revoked)
            return UpdateFirmwareStatus.revoked_certificate if revoked else UpdateFirmwareStatus.invalid_certificate
        return None

    async def _begin(self, job: Job) -> None:
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            await self._reopen()
        self._job = job
        await self._keep()
        self._start(self._run())

    async def _run(self) -> None:
        if self._the.phase == "download" and not await self._fetch():
            return
        await self._install()

    @property
    def _the(self) -> Job:
        assert self._job is not None
        return self._job

    async def _fetch(self) -> bool:
        job = self._the
        if job.retrieve_at > self._utc():
            await self._tell("DownloadScheduled")
            await self._until(job.retrieve_at)
        await self._tell("Downloading")
        digest = await self._download(job)
        if digest is None:
            await self._end("DownloadFailed")
            return False
        await self._tell("Downloaded")
        if job.request_id is not None and not await self._verify(digest):
            return False
        self._job = replace(self._the, phase="install")
        await self._keep()
        return True

    async def _download(self, job: Job) -> bytes | None:
        """The SHA-256 of the image; None when it could not be had. A repeated attempt goes on where one stopped."""
        partial = Partial()
        roots = self._trust.trust(with_fallback=True)
        for attempt in range(1 + job.retries):
            if attempt:
                await self._sleep(job.retry_s)
            try:
                fetched = await download(job.location, self._image, roots, partial)
            except TransferFailed as failure:
                log.warning("download failed", attempt=attempt + 1, kept=partial.size, reason=str(failure))
            else:
                log.info("firmware downloaded", size=fetched.size, sha256=fetched.sha256.hex())
                return fetched.sha256
        return None

    async def _verify(self, digest: bytes) -> bool:
        from chargepoint.ocpp import certificates as x

        try:
            x.check_signature(x.read(self._the.certificate)[0], digest, self._the.signature)
        except x.BadCertificate as error:
            log.error("firmware signature refused", reason=str(error))
            self._emit("InvalidFirmwareSignature", str(error)[: schema.MAX_TEXT])
            await self._end("InvalidSignature")
            return False
        await self._tell("SignatureVerified")
        return True

    async def _install(self) -> None:
        job = self._the
        if job.install_at is not None and job.install_at > self._utc():
            await self._tell("InstallScheduled")
            await self._until(job.install_at)
        await self._clear_points()
        if job.request_id is not None and not await asyncio.to_thread(_intact, self._image, job):
            self._emit("InvalidFirmwareSignature", "the image changed after its download")
            await self._end("InstallVerificationFailed")
            return
        await self._tell("Installing")
        self._job = replace(self._the, phase="restart")  # from here on a restart may be the installer's doing
        await self._keep()
        try:
            done = await self._installer.install(self._image)
        except InstallFailed as failure:
            log.error("firmware not installed", reason=str(failure))
            await self._end("InstallationFailed")
            return
        if done:
            await self._installed()
        else:
            await self._tell("InstallRebooting")
            await self._after_restart()  # which may not come: then this process hears the end

    async def _after_restart(self) -> None:
        if await self._installer.confirmed(self._image):
            await self._installed()
        else:
            await self._end("InstallationFailed")

    async def _installed(self) -> None:
        self._emit("FirmwareUpdated", "")
        await self._end("Installed")

    async def _clear_points(self) -> None:
        """Take the points out of service, the busy ones with the end of their transactions, and wait for these
        (L01.FR.06, L01.FR.07)."""
        evses = self._station.evse_ids()
        self._job = replace(self._the, closed=tuple((evse, 1) for evse in evses))
        await self._keep()
        outcomes = [await self._station.set_availability(evse, False, for_update=True) for evse in evses]
        if Outcome.SCHEDULED in outcomes:
            await self._sleep(BEGINNING_S)
        while any(self._station.transaction_of(evse) is not None for evse in evses):
            await self._sleep(LOOK_S)

    async def _reopen(self) -> None:
        """Idempotent: what the operator wants out of service stays out."""
        if not self._the.closed:
            return
        for evse in self._station.evse_ids():
            await self._station.set_availability(evse, True, for_update=True)
        self._job = replace(self._the, closed=())
        await self._keep()

    async def _end(self, status: str) -> None:
        self._job = replace(self._the, phase="over")
        await self._tell(status)
        await self._reopen()
        await asyncio.to_thread(self._image.unlink, True)

    async def _tell(self, status: str) -> None:
        """Keep, then report."""
        self._job = replace(self._the, status=status)
        last = self._the.phase == "over"
        await self._keep(last)
        self._say(status, self._the.request_id, last)

    def _say(self, status: str, request_id: int | None, last: bool) -> None:
        """`last`: it is what the update ended with."""

        async def answered() -> None:
            await self._forget_last(status, request_id)

        done = answered if last else None
        if request_id is not None:
            known = FirmwareStatus(status)
            self._report(call.SignedFirmwareStatusNotification(status=known, request_id=request_id), done)
        elif status in _UNSIGNED:
            self._report(call.FirmwareStatusNotification(status=FirmwareStatus(status)), done)

    async def _keep(self, last: bool = False) -> None:
        data = asdict(self._the)

        def write(db: sqlite3.Connection) -> None:
            store.put(db, AREA, KEY, data)
            if last:
                store.put(db, AREA, LAST, [data["status"], data["request_id"]])

        await self._journal.write(write)

    async def _forget_last(self, status: str, request_id: int | None) -> None:
        def forget(db: sqlite3.Connection) -> None:
            if store.get(db, AREA, LAST) == [status, request_id]:
                store.delete(db, AREA, LAST)

        try:
            await self._journal.write(forget)
        except sqlite3.Error as error:
            log.warning("a status that was told will be told again after a restart", status=status, error=str(error))

    async def _until(self, utc: float) -> None:
        while (left := utc - self._utc()) > 0:
            await self._sleep(min(left, RETRY_S))


def _retries(retries: int | None, interval: int | None) -> tuple[int, int]:
    return RETRIES if retries is None else max(0, retries), RETRY_S if interval is None else max(0, interval)


def _intact(image: Path, job: Job) -> bool:
    """Whether the image on the disk is still the one that was signed: installation may be much later."""
    from chargepoint.ocpp import certificates as x

    try:
        with image.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
        x.check_signature(x.read(job.certificate)[0], digest, job.signature)
    except (OSError, x.BadCertificate) as error:
        log.error("image refused", reason=str(error))
        return False
    return True
