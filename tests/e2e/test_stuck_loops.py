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
from injected_disk import PromptJournal

from chargepoint.config import Config
from chargepoint.journal import transactions
from chargepoint.journal.journal import FILE_NAME
from chargepoint.journal.stamp import Stamp
from chargepoint.meter.bus import MeterBus
from chargepoint.ocpp.connection import LONGEST_ATTEMPT_S, Link
from chargepoint.ocpp.lookout import longest_call_s
from chargepoint.ocpp.queue import OutboxSender
from chargepoint.ocpp.v16.status import StatusReporter
from chargepoint.processes.station import METER_BUS_TICKS, compose
from chargepoint.reader.reader import BadgeReader
from chargepoint.sim.central_system import SILENCE, CentralSystem
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


ALLOWED_TICKS = {
    "link to the central system": LONGEST_ATTEMPT_S,
    "outbox": longest_call_s(30),
    "status reports": longest_call_s(30),
    "meter bus": METER_BUS_TICKS,
}
"""Where it is more than usual; with the MessageTimeout that a borne has by default."""
NEWS = ("Authorize", "DataTransfer", "Heartbeat", "MeterValues", "StartTransaction", "StatusNotification")


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


def borne(tmp_path: Path, url: str = "ws://csms.test/ocpp", keys: dict[str, Any] | None = None) -> Config:
    """No safety process and no device is there, and at that name no central system. The loops go on all the same."""
    return msgspec.convert(
        {
            "station": {"id": "CP", "state_dir": tmp_path, "run_dir": tmp_path},
            "supply": {"max_current": 52},
            "board": {"kind": "simulated"},
            "evse": [{"id": 1, "max_current": 32, "meter": {"model": "eastron-sdm630", "unit": 1}}],
            "tic": {},
            "ocpp": {"url": url, "security_profile": 0, "configuration": keys or {}},
        },
        Config,
    )


async def live(config: Config, manager: Manager, calm_s: float, frozen_s: float) -> list[int]:
    """How often it was fed in the calm, and while something was frozen. Raises what the station ended with."""
    journal = PromptJournal.open(config.station.state_dir / FILE_NAME, "boot-1")
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


@pytest.mark.parametrize("silent", [NEWS, tuple(n for n in NEWS if n != "Heartbeat")], ids=["nothing", "the-time"])
def test_a_central_system_that_answers_hardly_leaves_every_loop_alive_with_the_longest_message_timeout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, silent: tuple[str, ...]
) -> None:
    """Registered, then silent: outbox, statuses, heartbeat and key figures wait for their time-outs one after another.

    The timeout of 600 s is one that was taken once; it counts as the longest there is.
    """
    manager = Manager(monkeypatch, tmp_path / "notify")
    keys = {"MessageTimeout": 600, "KpiInterval": 60, "WebSocketPingInterval": 30}

    async def play() -> tuple[list[int], CentralSystem]:
        journal = PromptJournal.open(tmp_path / FILE_NAME, "boot-1")
        start = (1, 1, "TAG", None, None, "boot-1:1", Stamp(journal.boot, 1.0, 1.8e9), 100)
        await journal.write(lambda db: transactions.begin(db, *start))
        journal.close()
        async with CentralSystem() as central:
            central.answers.update(dict.fromkeys(silent, SILENCE))
            accepted = {"status": "Accepted", "currentTime": "2027-01-15T08:00:00Z", "interval": 60}
            central.answers["BootNotification"] = accepted
            return await live(borne(tmp_path, central.url, keys), manager, 4000, 0), central

    fed, central = virtual_time.run(play())
    assert max(b - a for a, b in _gaps(fed)) <= 3
    assert len(central.calls("StartTransaction")) >= 1 and len(central.calls("BootNotification")) == 1


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
