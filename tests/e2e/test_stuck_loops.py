"""Every loop of the station that is watched: stuck, it stops the watchdog's feed and ends the process, by name."""

import asyncio
import itertools
import os
import socket
from collections.abc import Coroutine, Generator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import virtual_time
from injected_borne import CountedJournal

from chargepoint.config import Config
from chargepoint.journal.journal import FILE_NAME
from chargepoint.meter.bus import MeterBus
from chargepoint.ocpp.connection import Link
from chargepoint.ocpp.queue import OutboxSender
from chargepoint.ocpp.v16.status import StatusReporter
from chargepoint.processes.station import ALLOWED_TICKS, compose
from chargepoint.reader.reader import BadgeReader
from chargepoint.station.evse_link import EvseLink
from chargepoint.station.progress import SILENT_TICKS, Stuck
from chargepoint.tic.listener import TicListener

LOOPS: dict[str, type] = {
    "safety process's link": EvseLink,
    "link to the central system": Link,
    "outbox": OutboxSender,
    "status reports": StatusReporter,
    "meter bus": MeterBus,
    "badge reader": BadgeReader,
    "TIC listener": TicListener,
}


class Freezable:
    """Runs a coroutine until `frozen`; from then on it never gets on again, whatever it waited for."""

    frozen = False

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, Any, Any]:
        step, value = self._coroutine.send, None
        while True:
            if Freezable.frozen:
                yield from asyncio.Event().wait().__await__()
            try:
                waits_for = step(value)
            except StopIteration as end:
                return end.value
            try:
                step, value = self._coroutine.send, (yield waits_for)
            except BaseException as error:  # noqa: BLE001  (whatever it is, it belongs to the coroutine)
                step, value = self._coroutine.throw, error


class Manager:
    """The service manager's end of the notifications."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(str(path))
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        monkeypatch.setenv("WATCHDOG_USEC", "30000000")

    def fed(self) -> int:
        """How often the watchdog was fed since the last call."""
        count = 0
        while True:
            try:
                count += self._socket.recv(64) == b"WATCHDOG=1"
            except BlockingIOError:
                return count


def borne(tmp_path: Path) -> Config:
    """Nothing is there: no safety process, no device, no central system. The loops go on all the same."""
    return msgspec.convert(
        {
            "station": {"id": "CP", "state_dir": tmp_path, "run_dir": tmp_path},
            "supply": {"max_current": 52},
            "board": {"kind": "simulated"},
            "evse": [{"id": 1, "max_current": 32, "meter": {"model": "eastron-sdm630", "unit": 1}}],
            "tic": {},
            "ocpp": {"url": "ws://csms.test/ocpp", "security_profile": 0},
        },
        Config,
    )


async def live(config: Config, manager: Manager, calm_s: float, frozen_s: float) -> list[int]:
    """How often it was fed in the calm, and while something was frozen. Raises what the station ended with."""
    journal = CountedJournal.open(config.station.state_dir / FILE_NAME, "boot-1")
    station = compose(config, journal)
    running = asyncio.ensure_future(station.run())
    fed = []
    try:
        for seconds, frozen in ((calm_s, False), (frozen_s, True)):
            Freezable.frozen = frozen
            for _ in range(int(seconds)):
                await asyncio.sleep(1.0)
                if not running.done():
                    fed.append(manager.fed())
        return fed
    finally:
        Freezable.frozen = False
        station.stop_running()
        done = await asyncio.gather(running, return_exceptions=True)
        journal.close()
        if isinstance(done[0], BaseException):
            raise done[0]


def test_loops_that_have_nothing_but_trouble_feed_the_watchdog_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = Manager(monkeypatch, tmp_path / "notify")
    fed = virtual_time.run(live(borne(tmp_path), manager, 2000, 0))
    assert sum(fed) >= 1900
    assert max(b - a for a, b in _gaps(fed)) <= 3


@pytest.mark.parametrize("name", LOOPS)
def test_a_frozen_loop_stops_the_feed_and_ends_the_process_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    kind = LOOPS[name]
    original = kind.run

    async def run(self: Any) -> None:
        await Freezable(original(self))

    monkeypatch.setattr(kind, "run", run)
    manager = Manager(monkeypatch, tmp_path / "notify")
    allowed = ALLOWED_TICKS.get(name, SILENT_TICKS)
    with pytest.raises(ExceptionGroup) as ended:
        virtual_time.run(live(borne(tmp_path), manager, 60, allowed + 60))
    stuck, others = ended.value.split(Stuck)
    assert stuck is not None and others is None
    assert name in str(stuck.exceptions[0])
    assert os.environ["NOTIFY_SOCKET"]


def _gaps(fed: list[int]) -> list[tuple[int, int]]:
    at = [second for second, count in enumerate(fed) if count]
    return list(itertools.pairwise(at))
