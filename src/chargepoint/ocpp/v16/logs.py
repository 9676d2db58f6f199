"""GetDiagnostics and GetLog: what is in the charge point, uploaded where the central system wants it."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from ocpp.v16 import call, call_result
from ocpp.v16.enums import (
    Action,
    DiagnosticsStatus,
    Log,
    LogStatus,
    UploadLogStatus,
)

from chargepoint.ocpp.rpc import Reply, on
from chargepoint.ocpp.timestamps import from_text
from chargepoint.ocpp.transfer import Failure, TransferFailed, upload

RETRIES: Final = 3
RETRY_S: Final = 60
_LOG_FAILURE: Final = {
    Failure.BAD_MESSAGE: UploadLogStatus.bad_message,
    Failure.PERMISSION: UploadLogStatus.permission_denied,
    Failure.UNSUPPORTED: UploadLogStatus.not_supported_operation,
    Failure.OTHER: UploadLogStatus.upload_failure,
}
_FOREVER: Final = 4_102_444_800.0

Content = Callable[[str, float, float], Awaitable[bytes]]
"""The text of a log ("DiagnosticsLog" or "SecurityLog") between two instants, UTC seconds."""

log = structlog.get_logger("ocpp.logs")


class Logs:
    """Handlers of GetDiagnostics and GetLog. One upload at a time; a new one takes the place of the old.

    `roots`: PEM of the authorities a server may be certified by, beside the operating system's.
    """

    def __init__(
        self,
        identity: str,
        content: Content,
        report: Callable[[Any], None],
        utc: Callable[[], float],
        roots: Callable[[], str],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._identity = identity
        self._content = content
        self._report = report
        self._utc = utc
        self._roots = roots
        self._sleep = sleep
        self._task: asyncio.Task[None] | None = None
        self._request_id: int | None = None
        self._diagnostics = DiagnosticsStatus.idle
        self._log = UploadLogStatus.idle

    @property
    def busy(self) -> bool:
        return self._task is not None and not self._task.done()

    def status(self) -> call.DiagnosticsStatusNotification:
        """For a trigger: Uploading, or Idle."""
        uploading = self.busy and self._diagnostics is DiagnosticsStatus.uploading
        return call.DiagnosticsStatusNotification(
            status=DiagnosticsStatus.uploading if uploading else DiagnosticsStatus.idle
        )

    def log_status(self) -> call.LogStatusNotification:
        """For an extended trigger: Uploading with its request, or Idle without."""
        if self.busy and self._log is UploadLogStatus.uploading:
            return call.LogStatusNotification(status=self._log, request_id=self._request_id)
        return call.LogStatusNotification(status=UploadLogStatus.idle, request_id=None)

    @on(Action.get_diagnostics)
    async def get_diagnostics(
        self,
        location: str,
        retries: int | None = None,
        retry_interval: int | None = None,
        start_time: str | None = None,
        stop_time: str | None = None,
    ) -> call_result.GetDiagnostics | Reply:
        await self._cancel()
        name = self._name("diagnostics", "json")
        content = await self._content(Log.diagnostics_log.value, *_period(start_time, stop_time))

        async def start() -> None:
            self._request_id = None
            self._start(location, name, content, retries, retry_interval, self._tell_diagnostics)

        return Reply(call_result.GetDiagnostics(name), start)

    @on(Action.get_log)
    async def get_log(
        self,
        log: dict[str, Any],
        log_type: str,
        request_id: int,
        retries: int | None = None,
        retry_interval: int | None = None,
    ) -> Reply:
        cancelled = await self._cancel()
        security = log_type == Log.security_log.value
        name = self._name("security" if security else "diagnostics", "txt" if security else "json")
        period = _period(log.get("oldest_timestamp"), log.get("latest_timestamp"))
        content = await self._content(log_type, *period)

        async def start() -> None:
            self._request_id = request_id
            self._start(log["remote_location"], name, content, retries, retry_interval, self._tell_log)

        status = LogStatus.accepted_canceled if cancelled else LogStatus.accepted
        return Reply(call_result.GetLog(status, name), start)

    async def _cancel(self) -> bool:
        if self._task is None or self._task.done():
            return False
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        return True

    def _name(self, kind: str, suffix: str) -> str:
        safe = "".join(c if c.isascii() and c.isalnum() else "-" for c in self._identity)
        return f"{safe}-{kind}-{datetime.fromtimestamp(self._utc(), UTC):%Y%m%dT%H%M%SZ}.{suffix}"

    def _start(
        self,
        url: str,
        name: str,
        content: bytes,
        retries: int | None,
        interval: int | None,
        tell: Callable[[Failure | None, bool], None],
    ) -> None:
        self._task = asyncio.create_task(
            self._upload(url, name, content, RETRIES if retries is None else retries, interval, tell)
        )

    async def _upload(
        self,
        url: str,
        name: str,
        content: bytes,
        retries: int,
        interval: int | None,
        tell: Callable[[Failure | None, bool], None],
    ) -> None:
        tell(None, False)
        for attempt in range(1 + max(0, retries)):
            try:
                await upload(url, name, content, self._roots())
            except TransferFailed as failure:
                log.warning("upload failed", url=url.rpartition("@")[2], attempt=attempt + 1, reason=str(failure))
                if attempt >= retries:
                    tell(failure.kind, True)
                    return
                await self._sleep(RETRY_S if interval is None else max(0, interval))
            else:
                tell(None, True)
                return

    def _tell_diagnostics(self, failure: Failure | None, over: bool) -> None:
        self._diagnostics = DiagnosticsStatus.uploading
        if over:
            self._diagnostics = DiagnosticsStatus.upload_failed if failure else DiagnosticsStatus.uploaded
        self._log = UploadLogStatus.idle
        self._report(call.DiagnosticsStatusNotification(status=self._diagnostics))

    def _tell_log(self, failure: Failure | None, over: bool) -> None:
        self._log = UploadLogStatus.uploading
        if over:
            self._log = _LOG_FAILURE[failure] if failure else UploadLogStatus.uploaded
        self._diagnostics = DiagnosticsStatus.idle
        self._report(call.LogStatusNotification(status=self._log, request_id=self._request_id))


def _period(start: str | None, stop: str | None) -> tuple[float, float]:
    since = from_text(start).timestamp() if start else 0.0
    until = from_text(stop).timestamp() if stop else _FOREVER
    return since, until
