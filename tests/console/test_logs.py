"""Logging: one event a line, bounded in rate and size, levels changeable for a time."""

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from chargepoint import logs


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def unconfigured() -> Iterator[None]:
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    structlog.reset_defaults()
    logging.root.handlers[:], logging.root.level = handlers, level


def test_an_event_is_one_json_line_with_its_context(tmp_path: Path) -> None:
    stream = io.StringIO()
    logs.configure("station", tmp_path, stream=stream)
    structlog.get_logger().bind(evse=1).warning("lock\njam", tries=3)
    line = json.loads(stream.getvalue())
    assert list(line)[:2] == ["timestamp", "level"]
    assert line["event"] == "lock\njam"
    assert (line["level"], line["process"], line["evse"], line["tries"]) == ("warning", "station", 1, 3)
    assert len(stream.getvalue().splitlines()) == 1
    assert logs.last_lines(tmp_path, "station", 5) == stream.getvalue().splitlines()


def test_what_happens_at_a_point_in_a_session_carries_its_transaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "_session_of", None)
    stream = io.StringIO()
    logs.configure("station", tmp_path, stream=stream)
    logs.correlate({1: 7}.get)
    log = structlog.get_logger()
    for words in ({"evse": 1}, {"evse": 2}, {}, {"evse": 1, "tx": 6}):
        log.info("status", **words)
    assert [json.loads(line).get("tx") for line in stream.getvalue().splitlines()] == [7, None, None, 6]


def test_a_terminal_gets_a_human_line_without_escapes_from_outside(tmp_path: Path) -> None:
    stream = Terminal()
    logs.configure("station", tmp_path, stream=stream)
    structlog.get_logger().info("badge", token="\x1b[2J04A1")
    assert "info    badge  process=station token=\\x1b[2J04A1" in stream.getvalue()


def test_an_exception_keeps_its_trace(tmp_path: Path) -> None:
    stream = io.StringIO()
    logs.configure("station", tmp_path, stream=stream)
    try:
        raise ValueError("broken")
    except ValueError:
        structlog.get_logger().exception("task ended")
    assert "ValueError: broken" in json.loads(stream.getvalue())["exception"]


def test_what_libraries_log_comes_along(tmp_path: Path) -> None:
    stream = io.StringIO()
    logs.configure("station", tmp_path, stream=stream)
    logging.getLogger("websockets").error("connection %s", "lost")
    line = json.loads(stream.getvalue())
    assert (line["event"], line["logger"], line["level"]) == ("connection lost", "websockets", "error")


def test_a_flood_of_one_event_is_counted_and_another_still_seen() -> None:
    clock = Clock()
    limit = logs.RateLimit(clock)
    passed = 0
    for _ in range(1000):
        try:
            limit(None, "info", {"event": "noise", "evse": 1})
            passed += 1
        except structlog.DropEvent:
            pass
    assert passed == logs.BURST
    assert limit(None, "info", {"event": "noise", "evse": 2})
    clock.now = logs.WINDOW_S
    assert limit(None, "info", {"event": "noise", "evse": 1})["suppressed"] == 1000 - logs.BURST


def test_a_raised_level_falls_back_by_itself() -> None:
    clock = Clock()
    threshold = logs.Threshold("info", clock)
    with pytest.raises(structlog.DropEvent):
        threshold(None, "debug", {})
    threshold.raise_level("debug", 60)
    assert threshold(None, "debug", {}) == {}
    clock.now = 61
    with pytest.raises(structlog.DropEvent):
        threshold(None, "debug", {})
    with pytest.raises(ValueError, match="there is no level"):
        threshold.raise_level("verbose", 60)


def test_the_ring_is_bounded_and_survives_a_missing_directory(tmp_path: Path) -> None:
    ring = logs.Ring(tmp_path / "station.log", size=1000)
    for number in range(200):
        ring.write(f"{number:050}")
    sizes = [file.stat().st_size for file in tmp_path.iterdir()]
    assert len(sizes) == 2
    assert max(sizes) <= 1000 + 51
    assert logs.last_lines(tmp_path, "station", 3)[-1] == f"{199:050}"
    lost = logs.Ring(tmp_path / "nowhere" / "station.log")
    lost.write("x")
    assert lost.lost == 1


def test_a_ring_whose_file_cannot_be_put_aside_stays_bounded_and_has_the_newest_lines(tmp_path: Path) -> None:
    (tmp_path / "station.log.1").mkdir()
    ring = logs.Ring(tmp_path / "station.log", size=1000)
    for number in range(200):
        ring.write(f"{number:050}")
    assert (tmp_path / "station.log").stat().st_size <= 1000 + 51
    assert logs.last_lines(tmp_path, "station", 1) == [f"{199:050}"]
    assert ring.lost > 0


def test_a_standard_error_that_nobody_reads_holds_nothing_up(tmp_path: Path) -> None:
    program = (
        "import sys, structlog\n"
        "from pathlib import Path\n"
        "from chargepoint import logs\n"
        "logs.configure('station', Path(sys.argv[1]))\n"
        "for number in range(3000):\n"
        "    structlog.get_logger().info(f'event {number}', text='x' * 100)\n"
    )
    silent, error = os.pipe()
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stderr=error) as process:
        try:
            assert process.wait(20) == 0
        finally:
            process.kill()
    os.close(error)
    os.close(silent)
    assert "event 2999" in logs.last_lines(tmp_path, "station", 1)[0]


def test_the_last_lines_are_written_before_the_program_ends(tmp_path: Path) -> None:
    program = (
        "import sys, structlog\n"
        "from pathlib import Path\n"
        "from chargepoint import logs\n"
        "logs.configure('station', Path(sys.argv[1]))\n"
        "for number in range(500):\n"
        "    structlog.get_logger().info(f'event {number}')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], stderr=subprocess.PIPE, timeout=20, check=True, text=True
    )
    assert [json.loads(line)["event"] for line in done.stderr.splitlines()] == [f"event {n}" for n in range(500)]


SAFETY = "from chargepoint.evse.log import Log; log = Log()"
BUSINESS = (
    "import structlog; from chargepoint import logs; logs.configure('station', Path('.')); log = structlog.get_logger()"
)


def told(program: str, folder: Path, journal: bool) -> list[str]:
    """What the program writes to its standard error, which is the journal or not."""
    reading, writing = os.pipe()
    there = os.fstat(writing)
    # A program between this one and the journal leaves the name of its own stream in the environment.
    name = f"{there.st_dev}:{there.st_ino}" if journal else f"{there.st_dev}:{there.st_ino + 1}"
    subprocess.run(
        [sys.executable, "-c", program], stderr=writing, cwd=folder, env={**os.environ, "JOURNAL_STREAM": name},
        timeout=20, check=True,
    )  # fmt: skip
    os.close(writing)
    with os.fdopen(reading) as pipe:
        return pipe.read().splitlines()


@pytest.mark.parametrize("begin", [SAFETY, BUSINESS])
@pytest.mark.parametrize(("journal", "marks"), [(True, ["<6>", "<4>", "<3>"]), (False, ["", "", ""])])
def test_the_journal_is_told_how_urgent_a_line_is_and_nobody_else(
    tmp_path: Path, begin: str, journal: bool, marks: list[str]
) -> None:
    program = f"from pathlib import Path\n{begin}\nlog.info('a')\nlog.warning('b')\nlog.error('c')\n"
    lines = told(program, tmp_path, journal)
    assert [line.partition("{")[0] for line in lines] == marks
    assert [json.loads(line[len(mark) :])["event"] for line, mark in zip(lines, marks, strict=True)] == ["a", "b", "c"]


def test_why_a_program_does_not_start_is_an_error_for_the_journal(tmp_path: Path) -> None:
    program = "from chargepoint.urgency import complain; complain('the configuration:\\n[evse] is missing')"
    assert told(program, tmp_path, journal=True) == ["<3>the configuration:", "<3>[evse] is missing"]
    assert told(program, tmp_path, journal=False) == ["the configuration:", "[evse] is missing"]
