"""Does the version on trial do its work? It does when a point can be used and the central system is connected, and when
it stays so: one good answer is also given by a version that dies of its first meter sample.
"""

import math
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from chargepoint.jsonrpc import RpcError, call

TRIAL_S = 300.0
"""A new version must be well within five minutes of its start."""
SETTLED_S = 120.0
"""Well for so long, as one process, a version has settled: after so much life a station forgets the crashes before it.
Who gets well at the very end of `TRIAL_S` has this time as well."""
POLL_S = 2.0

Status = Mapping[str, Any]


def station_status(run_dir: Path) -> Status | None:
    """What the running station says; None when it does not answer."""
    try:
        status: Status = call(run_dir / "station.sock", "status", timeout_s=5.0)
    except (OSError, RpcError, ValueError):  # ValueError: what it says is no JSON
        return None
    return status if isinstance(status, dict) else None


def usable(status: Status | None) -> bool:
    """A point can be used, or could be if nobody kept it out of service.

    An update by OCPP keeps every point out of service until the central system has been told its end: then the point's
    safety process has to report, and no fault with it.
    """
    return any(_usable(point) for point in _points(status))


def _usable(point: Mapping[str, Any]) -> bool:
    if point.get("status") == "Unavailable":
        return point.get("operative") is False and point.get("pilot") is not None
    return point.get("status") != "Faulted"


def _points(status: Status | None) -> list[Mapping[str, Any]]:
    """A version on trial may answer anything: what is no point is left out."""
    points = (status or {}).get("evses")
    return [point for point in points if isinstance(point, dict)] if isinstance(points, list) else []


def complaint(status: Status | None, version: str, needs_backend: bool, was_usable: bool = True) -> str:
    """Why the version is not well yet, in one sentence; empty when it is.

    `was_usable`: a point could be used before the update; a borne that was faulty before cannot prove it now.
    """
    if not isinstance(status, dict):
        return "the station does not answer"
    if isinstance(safe := status.get("safe_mode"), dict):
        return f"the station crashed at its start and is in safe mode: {safe.get('reason')}"
    if status.get("version") != version:
        return f"the station says it is version {status.get('version')!r}, not {version}"
    if was_usable and not usable(status):
        return "no point can be used"
    link = status.get("ocpp")
    if needs_backend and not (isinstance(link, dict) and link.get("connected")):
        return "the central system is not connected"
    return ""


def charging(status: Status | None) -> list[int]:
    """Points with a transaction; a station that does not answer has none that could be asked about."""
    return [point["id"] for point in _points(status) if point.get("transaction") is not None]


def uptime_s(status: Status | None) -> float:
    """How long the station's process has lived, s. Endless where it does not tell: then there is nothing to hold it to.

    Both times are of one answer and one clock, so that setting the clock does not change their difference.
    """
    try:
        began, now = (datetime.fromisoformat((status or {})[key]) for key in ("started", "time"))
        return (now - began).total_seconds()
    except (KeyError, TypeError, ValueError):
        return math.inf


def wait_until_settled(
    ask: Callable[[], tuple[str, float] | None],
    timeout_s: float,
    settled_s: float,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """Ask for the complaint and the uptime until there has been no complaint, and no new start, for `settled_s`.

    Answers nothing then; the last complaint when there is one after `timeout_s`. Who is well at that time may have
    begun a moment ago: it has `settled_s` more, and no complaint is forgiven in them. An answer of None ends the wait.
    """
    end = monotonic() + timeout_s
    well_since: float | None = None
    while True:
        said = ask()
        if said is None:
            return ""
        (last, uptime), now = said, monotonic()
        if last:
            well_since = None
            if now >= end:
                return last
        else:
            well_since = now if well_since is None else well_since
            if min(now - well_since, uptime) >= settled_s:
                return ""
            if now >= end + settled_s:
                return f"the station starts again and again and does not live for {settled_s:.0f} s"
        sleep(POLL_S)
