"""The station in safe mode: after a run of crashes, what can do no harm and still tells why.

No central system, no meters, no journal, no badges: whatever made the station fall is not touched. No permission is
given, so no car is charged and nothing is delivered that could not be billed; the safety process then opens the
contactors and lets every plug go. What is left is the control socket, where `status` and `why` tell the reason, and the
link to the safety process, so that the points can be seen and a plug that holds on be released. After a pause that
grows with each time the process ends, and is started again whole.
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import structlog

from chargepoint import __version__
from chargepoint.config import Config
from chargepoint.connectors import TYPE_2
from chargepoint.evse.messages import BorneReport, Lamps, Permit, PointReport
from chargepoint.faults import fault, row_of
from chargepoint.jsonrpc import RpcError, Server, SocketBusy
from chargepoint.logs import raise_level
from chargepoint.processes.crashes import SafeMode
from chargepoint.sdnotify import Notifier
from chargepoint.sentences import translate
from chargepoint.station.evse_link import EvseLink, LinkLost
from chargepoint.station.indicators import steps
from chargepoint.station.progress import Progress, Stuck
from chargepoint.urgency import complain

log = structlog.get_logger()
TICK_S: Final = 1.0
UNLOCK_WAIT_S: Final = 10.0
SOCKET_NAME: Final = "station.sock"


def main(config: Config, safe: SafeMode) -> int:
    """Run until the pause is over, SIGTERM or SIGINT. Answers the process's exit status: 0, to be started whole."""
    log.error("safe mode", reason=safe.reason, where=safe.where, ends=safe.ends, pause_s=safe.pause_s)
    return asyncio.run(_run(config, safe))


async def _run(config: Config, safe: SafeMode) -> int:
    station = SafeStation(config, safe)
    try:
        await station.control.start()
    except SocketBusy as refused:
        complain(f"chargepoint station: {refused}")
        return 1
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, station.over.set)
    try:
        await station.run()
    except Stuck as stuck:
        log.error("stuck", why=str(stuck))
        return 1
    finally:
        await station.control.close()
    return 0


class SafeStation:
    """Answers on the control socket, and listens to the safety process."""

    def __init__(self, config: Config, safe: SafeMode) -> None:
        self._config = config
        self._safe = safe
        self._since = datetime.now(UTC)
        self._points: dict[int, PointReport] = {}
        self._borne: BorneReport | None = None
        self._lost = "not yet connected"
        self.over = asyncio.Event()
        self.link = EvseLink(config.station.run_dir / "evse.sock")
        self.link.attach(self)
        methods: dict[str, Callable[..., Any]] = {
            "status": self.status,
            "why": self.why,
            "unlock": self.unlock,
            "reset": self.reset,
            "log_level": self.log_level,
            "audit": self.audit,
        }
        self.control = Server(config.station.run_dir / SOCKET_NAME, methods)

    async def run(self) -> None:
        """Until the pause is over, or `over` is set. Raises Stuck."""
        progress, notifier = Progress(), Notifier()
        progress.watch("safety process's link", lambda: self.link.turns)
        out_of_service = steps(self._config.lamps.unavailable)
        for evse in self._config.evse:
            self.link.permit(Permit(evse.id, False, 0.0))
            self.link.lamps(Lamps(evse.id, out_of_service))  # else what the station showed last would stay
        listening = asyncio.create_task(self.link.run())
        end = time.monotonic() + self._safe.pause_s
        notifier.ready()
        try:
            while time.monotonic() < end and not self.over.is_set():
                progress.tick()
                notifier.alive()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(TICK_S):
                        await self.over.wait()
        finally:
            notifier.stopping()
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    # What the safety process tells

    def point_reported(self, report: PointReport) -> None:
        self._points[report.evse] = report

    def borne_reported(self, report: BorneReport) -> None:
        self._borne = report

    def evse_found(self) -> None:
        self._lost = ""

    def evse_lost(self, why: str) -> None:
        self._lost = why
        self._points.clear()

    # What may be asked

    def status(self) -> dict[str, Any]:
        """As the whole station's, as far as it is known; `safe_mode` tells why it is not."""
        again = self._since + timedelta(seconds=self._safe.pause_s)
        faults = [self._fault("safe-mode", self._since, self._detail())]
        if self._lost:
            faults.append(self._fault("evse-process-lost", self._since, self._lost))
        return {
            "id": self._config.station.id,
            "version": __version__,
            "started": _text(self._since),
            "time": _text(datetime.now(UTC)),
            "safe_mode": {
                "since": _text(self._since),
                "again": _text(again),
                "reason": self._safe.reason,
                "where": self._safe.where,
                "ends": self._safe.ends,
            },
            "evses": [self._evse(section.id) for section in self._config.evse],
            "faults": faults,
            "ocpp": {
                "connected": False,
                "version": self._config.ocpp.version,
                "url": self._config.ocpp.url,
                "queue": 0,
                "trouble": "safe mode",
            },
            "clock": {"synchronised": False, "source": ""},
        }

    def _evse(self, evse: int) -> dict[str, Any]:
        report = self._points.get(evse)
        faults = report.faults if report is not None else ()
        return {
            "id": evse,
            "status": "Unavailable",
            "operative": False,
            "connectors": [],
            "session": "idle",
            "pilot": report.state if report is not None else None,
            "plugged": report.plugged if report is not None else None,
            "lock": report.lock if report is not None else None,
            "contactor": report.contactor_closed if report is not None else None,
            "offered": 0.0,
            "waiting": report.waiting if report is not None else "",
            "limits": [],
            "current": None,
            "power": None,
            "energy": None,
            "temperature": report.temperature_c if report is not None else None,
            "transaction": None,
            "id_token": None,
            "reservation": None,
            "faults": [self._fault(f.name, self._since, f.detail) for f in faults],
        }

    def _fault(self, name: str, since: datetime, detail: str) -> dict[str, Any]:
        row = row_of(name)
        text = row.fr if self._config.station.language == "fr" else row.en
        known = {"name": name, "since": _text(since), "detail": detail}
        return {**known, "severity": row.severity.value, "recover": row.recover.value, "text": text}

    def _detail(self) -> str:
        return f"{self._safe.reason} ({self._safe.where})" if self._safe.where else self._safe.reason

    def why(self, evse: int, lang: Literal["en", "fr"] | None = None, connector: int | None = None) -> str:
        """The safe mode is why, whatever else there is, and at whichever connector."""
        self._known(evse)
        language = lang or self._config.station.language
        row = fault("safe-mode")
        return f"{row.fr if language == 'fr' else row.en} ({translate(self._detail(), language)})"

    async def unlock(self, evse: int, connector: int = TYPE_2) -> dict[str, str]:
        """Let the plug go."""
        self._known(evse)
        if connector != TYPE_2:
            raise RpcError("nothing holds a plug in the domestic socket: `stop` ends its session")
        try:
            done = await self.link.unlock(evse, UNLOCK_WAIT_S)
        except LinkLost as error:
            raise RpcError(str(error)) from error
        if not done.ok:
            raise RpcError(done.detail or "the safety process refused")
        return {"outcome": "Accepted"}

    def reset(self, hard: bool = False) -> dict[str, str]:
        """Try the whole station now."""
        self.over.set()
        return {"outcome": "Accepted"}

    def audit(self, who: str, action: str, evse: int | None = None) -> dict[str, bool]:
        """Enter in the log what a technician does, before it is done: the journal may be what made the station fall."""
        log.warning("technician", who=who, action=action, evse=evse)
        return {"ok": True}

    def log_level(self, level: Literal["debug", "info", "warning", "error"], seconds: float) -> dict[str, bool]:
        raise_level(level, seconds)
        return {"ok": True}

    def _known(self, evse: int) -> None:
        known = [section.id for section in self._config.evse]
        if evse not in known:
            raise RpcError(f"there is no point {evse}: this station has {', '.join(map(str, known))}")


def _text(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
