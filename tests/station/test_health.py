"""What the station counts and keeps of itself."""

import asyncio
import re
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from station_harness import FakeTime, Harness, config, station

from chargepoint.evse.messages import BorneReport
from chargepoint.journal import history
from chargepoint.journal.journal import FILE_NAME, Journal
from chargepoint.processes import station as process
from chargepoint.sentences import translate
from chargepoint.station.kpis import Kpis
from chargepoint.station.progress import SILENT_TICKS, Progress, Stuck
from chargepoint.station.view import station_status


def play(tmp_path: Path, body: Callable[[Harness], Coroutine[Any, Any, None]], **more: Any) -> None:
    async def main() -> None:
        async with station(tmp_path, **more) as harness:
            await body(harness)

    asyncio.run(main())


def test_a_session_is_counted_from_plug_to_end(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        await h.charge()
        h.advance(2, wh=10)
        h.badge()
        await h.until_status("Finishing")
        h.unplug()
        figures = h.station.health.kpis.figures
        h.station.tick()
        assert figures['plug_ins_total{evse="1"}'] == 1
        assert figures['authorisations_total{by="central",outcome="accepted"}'] == 1
        assert figures['sessions_total{evse="1",how="badge"}'] == 1
        assert figures['start_to_power_seconds_count{evse="1"}'] == 1
        assert figures['first_try_total{evse="1",success="yes"}'] == 1
        assert figures['sessions_ended_total{evse="1",fault="",reason="Local"}'] == 1

    play(tmp_path, body)


def test_a_session_that_draws_nothing_within_a_minute_is_no_first_try_success(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        h.link.cars[1].wants = False
        h.plug()
        h.badge()
        await h.until_state("running")
        for _ in range(7):
            h.advance(10)
        assert h.station.health.kpis.figures['first_try_total{evse="1",success="no"}'] == 1

    play(tmp_path, body)


def test_a_session_ended_by_a_fault_names_it(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        await h.charge()
        h.fault(1, "residual-current")
        h.advance(6)
        await h.until_state("finished")
        figures = h.station.health.kpis.figures
        assert figures['sessions_ended_total{evse="1",fault="residual-current",reason="Other"}'] == 1
        assert figures['faults_total{evse="1",fault="residual-current"}'] == 1

    play(tmp_path, body)


def test_availability_is_counted_by_day_and_by_point(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        h.advance(5)
        h.fault(1, "residual-current")
        h.advance(5)
        (day,) = h.station.health.kpis.days.values()
        assert day["2"][0] == day["2"][1] >= 10
        assert day["1"][1] - day["1"][0] >= 5

    play(tmp_path, body)


def test_figures_survive_a_restart_and_tell_its_cause(tmp_path: Path) -> None:
    time = FakeTime()

    async def first(h: Harness) -> None:
        await h.charge()

    async def second(h: Harness) -> None:
        figures = h.station.health.kpis.figures
        assert figures['plug_ins_total{evse="1"}'] >= 1
        assert figures['starts_total{cause="first"}'] == 1
        assert figures['starts_total{cause="stop"}'] == 1

    play(tmp_path, first, time=time)
    play(tmp_path, second, time=time)


def test_a_crash_and_a_power_cut_are_told_apart(tmp_path: Path) -> None:
    async def marked(h: Harness) -> None:
        async def nothing(restart: bool) -> None: ...

        h.station.health.stopping = nothing  # type: ignore[method-assign]

    causes: list[str] = []

    async def look(h: Harness) -> None:
        causes.extend(key for key in h.station.health.kpis.figures if key.startswith("starts_total"))
        await marked(h)

    play(tmp_path, marked, boot_id="a")
    play(tmp_path, look, boot_id="a")
    play(tmp_path, look, boot_id="b")
    assert causes == ['starts_total{cause="crash"}', 'starts_total{cause="power"}']


def test_faults_leave_a_history(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        h.fault(1, "diode")
        h.fault(1, "diode", on=False)
        h.link.report(1)

        async def told() -> list[tuple[str, str]]:
            events = await h.journal.read(lambda db: history.newest(db, 10))
            return [(e.name, e.event) for _, e in events if e.evse == 1]

        for _ in range(100):
            if len(await told()) == 2:
                break
            await asyncio.sleep(0.01)
        assert await told() == [("diode", "cleared"), ("diode", "raised")]

    play(tmp_path, body)


def test_a_disk_that_takes_no_writes_is_a_fault_of_the_station(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        h.journal.trouble = "database or disk is full"
        h.station.tick()
        assert "disk-full" in h.station.faults
        h.journal.trouble = ""
        h.station.tick()
        assert "disk-full" not in h.station.faults

    play(tmp_path, body)


def test_a_state_that_does_not_outlive_a_start_is_told_and_the_borne_charges(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        h.station.health.state_is_in_memory(Path("/var/lib/chargepoint"), "overlay")
        await h.charge()
        h.station.tick()
        shown = {fault["name"]: fault for fault in (await station_status(h.station))["faults"]}
        assert shown["state-in-memory"]["detail"].startswith("/var/lib/chargepoint is on overlay")
        assert translate(shown["state-in-memory"]["detail"], "fr").startswith("/var/lib/chargepoint est sur overlay")

    play(tmp_path, body)


@pytest.mark.parametrize(
    ("kind", "under", "told"),
    [
        ("raspberry-pi", "overlay", True),
        ("raspberry-pi", "", False),
        ("simulated", "overlay", False),
    ],
)
def test_the_process_looks_at_its_start_where_its_state_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, under: str, told: bool
) -> None:
    monkeypatch.setattr(process, "fleeting_here", lambda folder: under if folder == tmp_path else "")
    journal = Journal.open(tmp_path / FILE_NAME)
    try:
        station = process.compose(config(tmp_path, board={"kind": kind}), journal)
        assert ("state-in-memory" in station.faults) is told
    finally:
        journal.close()


def test_a_damaged_journal_is_told_and_the_borne_charges(tmp_path: Path) -> None:
    (tmp_path / "chargepoint.db").write_bytes(b"no database" * 999)

    async def body(h: Harness) -> None:
        assert "database-damaged" in h.station.faults
        await h.charge()

    play(tmp_path, body)


SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\"n])*",?)*)\})? (\S+)')


def strictly_read(text: str) -> dict[str, float]:
    """Prometheus' text format 0.0.4, nothing let pass: one TYPE before the samples of a name, no name in two places."""
    assert text.endswith("\n")
    found: dict[str, float] = {}
    kinds: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in kinds
            assert kind in ("counter", "gauge")
            kinds[name] = kind
            continue
        sample = SAMPLE.fullmatch(line)
        assert sample is not None, line
        assert sample[1] == list(kinds)[-1], f"{line} stands under {list(kinds)[-1]}"
        key = line.rsplit(" ", 1)[0]
        assert key not in found
        found[key] = float(sample[3])
    return found


def test_the_metrics_file_is_prometheus_text(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        await h.charge()
        h.fault(1, 'a"b\\c\nd')
        h.advance(1)
        file = tmp_path / "chargepoint.prom"
        await h.until(lambda: file.exists())
        file.unlink()
        h.advance(61)
        await h.until(lambda: file.exists())
        samples = strictly_read(file.read_text())
        assert samples['chargepoint_plug_ins_total{evse="1"}'] == 1
        assert samples['chargepoint_available_ratio{evse="1"}'] <= 1
        assert samples["chargepoint_disk_written_bytes"] >= 0

    play(tmp_path, body)


def test_the_safety_loops_worst_lateness_of_the_last_minute_is_told(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        file = tmp_path / "chargepoint.prom"
        figures = h.station.health.kpis.figures

        async def a_minute(*late_ms: float) -> float:
            for late in late_ms:
                h.station.borne_reported(BorneReport(1.0, "b", late_max_ms=late))
            file.unlink(missing_ok=True)
            h.advance(61)
            await h.until(lambda: file.exists())
            return figures["loop_late_max_ms"]

        h.station.tick()
        await h.until(lambda: file.exists())  # that of the start, which would be taken for the minute's
        assert await a_minute(0.4, 31.5, 0.2) == 31.5
        assert await a_minute(0.3) == 0.3

    play(tmp_path, body)


def test_how_long_a_fault_lasts_is_counted(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        h.fault(1, "diode")
        h.advance(40)
        h.fault(1, "diode", on=False)
        figures = h.station.health.kpis.figures
        assert figures['faults_cleared_total{evse="1",fault="diode"}'] == 1
        assert figures['fault_seconds_total{evse="1",fault="diode"}'] == 40

    play(tmp_path, body)


def test_labels_are_escaped() -> None:
    kpis = Kpis()
    kpis.add("x_total", reason='a"b\\c')
    assert kpis.prometheus().splitlines()[1] + "\n" == 'chargepoint_x_total{reason="a\\"b\\\\c"} 1\n'


def test_a_loop_that_does_not_get_round_ends_the_process_and_is_named(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        h.link.frozen = True
        for _ in range(SILENT_TICKS):
            h.station.tick()
        h.time.mono += 10_000
        with pytest.raises(Stuck, match="safety process's link"):
            for _ in range(3):
                h.station.tick()

    play(tmp_path, body)


def test_a_loop_may_take_what_it_was_allowed_when_it_last_got_round() -> None:
    """A longer time-out may still be running when a shorter one is set."""
    allowed = 50
    progress = Progress()
    progress.watch("loop", lambda: 0, lambda: allowed)
    progress.tick()
    allowed = 5
    for _ in range(49):
        progress.tick()
    with pytest.raises(Stuck):
        progress.tick()


def test_the_service_manager_hears_ready_alive_and_stopping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(tmp_path / "notify"))
    manager.settimeout(3)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))

    async def body(h: Harness) -> None:
        h.station.tick()

    play(tmp_path, body)
    heard = set()
    while "STOPPING=1" not in heard:
        heard.add(manager.recv(100).decode())
    manager.close()
    assert heard == {"READY=1", "WATCHDOG=1", "STOPPING=1"}


def test_writes_are_few_idle_and_charging(tmp_path: Path) -> None:
    async def body(h: Harness) -> None:
        async def hour() -> int:
            before = h.journal.writes
            for _ in range(360):
                h.advance(10, wh=10)
                await asyncio.sleep(0)
            await h.journal.write(lambda db: None)
            return h.journal.writes - before

        assert await hour() <= 10
        await h.charge()
        assert await hour() <= 75

    play(tmp_path, body)
