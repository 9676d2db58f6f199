"""A trial has one verdict, whoever was killed while watching it, and whatever the version on trial answers."""

import math
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from update_rig import CONFIG, TRUSTED, Station, configured, packed, switched_on

from chargepoint.config import Config
from chargepoint.processes import crashes
from chargepoint.update import command, health
from chargepoint.update import slots as slots_module
from chargepoint.update.bundle import BundleError
from chargepoint.update.request import Exchange, Progress, Request, Step
from chargepoint.update.slots import Slots


class Killed(BaseException):
    """As a signal that no handler sees: the kernel lets go of the files, and nothing more is done."""


@pytest.fixture
def slots(tmp_path: Path) -> Slots:
    slots = Slots(tmp_path / "opt")
    slots.install(packed(tmp_path, "1.0.0"), TRUSTED, "ARD-0001")
    slots.switch("1.0.0")
    slots.install(packed(tmp_path, "1.1.0"), TRUSTED, "ARD-0001")
    return slots


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "config.toml").write_text(CONFIG.format(tmp_path))
    return configured(tmp_path)


@pytest.fixture
def borne(slots: Slots, monkeypatch: pytest.MonkeyPatch) -> Station:
    return switched_on(Station(slots), monkeypatch)


def trial(tmp_path: Path, *words: str) -> int:
    """What the unit runs."""
    return command.main(["--root", str(tmp_path / "opt"), "trial", *words], tmp_path / "config.toml")


def started_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    boot = tmp_path / "boot_id"
    boot.write_text(f"boot-{number}\n")
    monkeypatch.setattr(slots_module, "BOOT_ID", boot)


def kill_the_watcher(borne: Station, slots: Slots, config: Config, after_s: float) -> None:
    """A switch whose watcher is killed so long after it."""

    def killed(_: Path) -> dict[str, object] | None:
        if borne.now >= after_s:
            raise Killed
        return None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(health, "station_status", killed)
        with pytest.raises(Killed):
            command._switch_and_watch(slots, config, "1.1.0", health.TRIAL_S, health.SETTLED_S)


def test_a_good_version_whose_watcher_was_killed_is_confirmed_by_the_unit(
    tmp_path: Path, slots: Slots, config: Config, borne: Station
) -> None:
    exchange = Exchange(config.station.state_dir)
    exchange.say(Progress(Step.TRIAL, "", "1.1.0", 7))
    kill_the_watcher(borne, slots, config, 20.0)
    assert trial(tmp_path) == 0
    assert (slots.current(), slots.trial()) == ("1.1.0", None)
    assert exchange.progress() == Progress(Step.INSTALLED, "", "1.1.0", 7)


def test_a_broken_version_whose_watchers_are_killed_again_and_again_is_taken_back_when_its_time_is_over(
    tmp_path: Path, slots: Slots, config: Config, borne: Station
) -> None:
    exchange = Exchange(config.station.state_dir)
    exchange.say(Progress(Step.TRIAL, "", "1.1.0", 7))
    kill_the_watcher(borne, slots, config, 200.0)
    borne.broken = "1.1.0"
    began = borne.now
    assert trial(tmp_path) == 1
    assert (slots.current(), slots.trial()) == ("1.0.0", None)
    assert borne.now - began <= health.TRIAL_S - 200.0 + 2 * health.POLL_S
    assert exchange.progress().step is Step.FAILED


def test_only_starts_of_the_machine_are_counted_not_those_of_the_watcher(
    tmp_path: Path, slots: Slots, borne: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    started_anew(tmp_path, monkeypatch, 1)
    slots.switch("1.1.0")
    counted = []
    for boot in (1, 1, 2, 2, 3):
        started_anew(tmp_path, monkeypatch, boot)
        counted.append(getattr(slots.started(), "starts", None))
    assert counted == [0, 0, 1, 1, 2]


def test_who_comes_to_a_trial_that_is_watched_waits_and_finds_it_decided(
    tmp_path: Path, slots: Slots, config: Config, borne: Station
) -> None:
    slots.switch("1.1.0")
    watcher = ExitStack()
    watcher.enter_context(slots.watching(0.0))

    def decided() -> None:
        if borne.now > 30.0 and slots.trial() is not None:
            slots.confirm()
            watcher.close()

    borne.on_sleep = decided
    assert trial(tmp_path) == 0
    assert borne.now > 30.0
    assert borne.restarts == 0


def test_a_rollback_by_hand_ends_the_watch(tmp_path: Path, slots: Slots, config: Config, borne: Station) -> None:
    borne.broken = "1.1.0"

    def by_hand() -> None:
        if borne.now > 30.0 and slots.trial() is not None:
            slots.roll_back()

    borne.on_sleep = by_hand
    assert command._switch_and_watch(slots, config, "1.1.0", health.TRIAL_S, health.SETTLED_S) == 1
    assert borne.now < 60.0
    assert slots.current() == "1.0.0"


def test_what_a_borne_was_before_the_switch_is_remembered_by_who_watches_after_a_power_cut(
    tmp_path: Path, slots: Slots, config: Config, borne: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    borne.point = {"id": 1, "status": "Faulted", "transaction": None, "operative": True, "pilot": "A"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "_restart", lambda: (_ for _ in ()).throw(Killed()))
        with pytest.raises(Killed):
            command._switch_and_watch(slots, config, "1.1.0", health.TRIAL_S, health.SETTLED_S)
    started_anew(tmp_path, monkeypatch, 2)
    assert trial(tmp_path) == 0
    assert slots.current() == "1.1.0"


def test_a_configuration_that_cannot_be_read_does_not_keep_a_broken_version(
    tmp_path: Path, slots: Slots, config: Config, borne: Station, capsys: pytest.CaptureFixture[str]
) -> None:
    slots.switch("1.1.0")
    (tmp_path / "config.toml").write_text("[station\n")
    assert trial(tmp_path) == 1
    assert slots.current() == "1.0.0"
    assert "config.toml" in capsys.readouterr().err


@pytest.mark.parametrize(
    "answer",
    [[], {"version": "1.1.0", "evses": None}, {"version": "1.1.0", "evses": [None], "ocpp": 3}, {"version": None}],
)
def test_an_answer_that_makes_no_sense_is_a_complaint_and_no_end_of_the_watch(answer: object) -> None:
    assert health.complaint(answer, "1.1.0", needs_backend=True)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("point", "well"),
    [
        ({"status": "Unavailable", "operative": False, "pilot": "A"}, True),
        ({"status": "Unavailable", "operative": False, "pilot": None}, False),
        ({"status": "Unavailable", "operative": True, "pilot": "A"}, False),
        ({"status": "Faulted", "operative": False, "pilot": "A"}, False),
        ({"status": "Charging", "operative": True, "pilot": "C2"}, True),
    ],
)
def test_a_point_that_is_kept_out_of_service_for_the_update_is_judged_by_what_its_safety_process_reports(
    point: dict[str, object], well: bool
) -> None:
    """An update by OCPP keeps every point out of service until it has been told that it is installed."""
    status = {"version": "2", "evses": [{"id": 1, **point}], "ocpp": {"connected": True}}
    assert (health.complaint(status, "2", needs_backend=True) == "") is well


def test_a_power_cut_during_the_trial_of_an_update_by_ocpp_does_not_take_a_good_version_back(
    tmp_path: Path, slots: Slots, config: Config, borne: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    borne.point = {"id": 1, "status": "Unavailable", "transaction": None, "operative": False, "pilot": "A"}
    slots.switch("1.1.0")
    started_anew(tmp_path, monkeypatch, 2)
    assert trial(tmp_path) == 0
    assert slots.current() == "1.1.0"


def test_the_end_is_told_when_the_power_went_after_the_verdict_and_before_the_word(
    tmp_path: Path, slots: Slots, config: Config, borne: Station
) -> None:
    slots.switch("1.1.0")
    slots.confirm()
    exchange = Exchange(config.station.state_dir)
    exchange.say(Progress(Step.TRIAL, "", "1.1.0", 7))
    assert trial(tmp_path) == 0
    assert exchange.progress().step is Step.INSTALLED


def test_the_unit_says_nothing_in_the_place_of_an_installer_that_lives(
    tmp_path: Path, slots: Slots, config: Config, borne: Station
) -> None:
    exchange = Exchange(config.station.state_dir)
    exchange.say(Progress(Step.WAITING, "", "1.2.0", 7))
    with slots.serving():
        trial(tmp_path)
    assert exchange.progress().step is Step.WAITING
    trial(tmp_path)
    assert exchange.progress().step is Step.FAILED


def test_an_installer_that_was_killed_tells_so_when_the_unit_starts_it_again(
    tmp_path: Path, slots: Slots, config: Config, borne: Station
) -> None:
    exchange = Exchange(config.station.state_dir)
    exchange.say(Progress(Step.INSTALLING, "", "1.2.0", 7))
    command.main(["--root", str(tmp_path / "opt"), "serve"], tmp_path / "config.toml")
    assert exchange.progress().step is Step.FAILED


def test_the_version_before_is_named_for_the_unit_for_the_one_on_trial_may_not_even_start(
    tmp_path: Path, slots: Slots
) -> None:
    slots.switch("1.1.0")
    assert (tmp_path / "opt/before").readlink() == Path("versions/1.0.0")


@pytest.mark.parametrize("how", [BundleError("the services could not be restarted: timed out"), Killed()])
def test_a_rollback_whose_restart_fails_is_brought_to_its_end_by_the_unit(
    tmp_path: Path,
    slots: Slots,
    config: Config,
    borne: Station,
    monkeypatch: pytest.MonkeyPatch,
    how: BaseException,
) -> None:
    """`current` names the old version by then, and no trial tells that the new one still runs."""
    slots.switch("1.1.0")
    borne.broken = "1.1.0"

    def fails() -> None:
        raise how

    with monkeypatch.context() as patch:
        patch.setattr(command, "_restart", fails)
        if isinstance(how, Killed):
            with pytest.raises(Killed):
                trial(tmp_path)
        else:
            assert trial(tmp_path) == 1
    assert (slots.current(), slots.trial(), borne.restarts) == ("1.0.0", None, 0)
    old = {"version": "1.1.0", "evses": [], "ocpp": {}}
    monkeypatch.setattr(health, "station_status", lambda _: old if borne.restarts == 0 else borne.status(_))
    trial(tmp_path)
    assert borne.restarts == 1
    trial(tmp_path)
    assert borne.restarts == 1


def test_a_version_that_dies_soon_after_each_start_is_taken_back_though_it_answers_well_in_between(
    tmp_path: Path, slots: Slots, config: Config, borne: Station, capsys: pytest.CaptureFixture[str]
) -> None:
    """It falls at its first meter sample, and systemd has it answering again before anybody has asked."""

    def falls() -> None:
        if slots.current() == "1.1.0" and borne.now - borne.began >= 60.0:
            borne.began = borne.now

    borne.on_sleep = falls
    assert command._switch_and_watch(slots, config, "1.1.0", health.TRIAL_S, health.SETTLED_S) == 1
    assert slots.current() == "1.0.0"
    assert "starts again and again" in capsys.readouterr().err
    assert borne.now <= health.TRIAL_S + health.SETTLED_S + 2 * health.POLL_S


def watched(answers: Callable[[float], tuple[str, float]]) -> tuple[str, float]:
    """A trial of which this is known at each moment; its verdict, and when it was given."""
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    said = health.wait_until_settled(lambda: answers(now), health.TRIAL_S, health.SETTLED_S, lambda: now, sleep)
    return said, now


def test_a_version_stays_when_it_has_been_well_as_one_process_for_two_minutes() -> None:
    assert watched(lambda now: ("", now)) == ("", 120.0)
    assert watched(lambda now: ("", math.inf)) == ("", 120.0), "of one that does not tell its start"


def test_a_complaint_begins_the_two_minutes_anew() -> None:
    said, at = watched(lambda now: ("no point can be used" if now == 100.0 else "", now))
    assert (said, at) == ("", 102.0 + 120.0)


def test_a_new_start_of_the_station_begins_the_two_minutes_anew() -> None:
    assert watched(lambda now: ("", now if now < 100.0 else now - 100.0)) == ("", 220.0)


def test_a_version_that_gets_well_just_in_time_has_its_two_minutes_and_no_complaint_is_forgiven_in_them() -> None:
    late = 290.0
    assert watched(lambda now: ("" if now >= late else "unwell", now)) == ("", late + 120.0)
    said = watched(lambda now: ("" if now >= late and now != 350.0 else "unwell", now))
    assert said == ("unwell", 350.0)
    assert watched(lambda now: ("unwell", now)) == ("unwell", 300.0)


def test_the_stations_uptime_does_not_change_when_its_clock_is_set() -> None:
    status = {"started": "1970-01-01T00:00:05.000Z", "time": "1970-01-01T00:01:05.500Z"}
    later = {"started": "2026-11-27T09:00:00.000Z", "time": "2026-11-27T09:01:00.500Z"}
    assert health.uptime_s(status) == health.uptime_s(later) == 60.5
    assert health.uptime_s({"started": 7}) == math.inf


def test_a_trial_settles_as_the_crashes_of_a_station_are_forgotten() -> None:
    assert health.SETTLED_S == crashes.SETTLED_S


@pytest.mark.parametrize("text", [b"", b'{"version": "1.1', b'{"version": "1.1.0"}', b"\xff\x00"])
def test_a_note_of_the_trial_that_cannot_be_read_leads_back_to_the_version_before(
    tmp_path: Path, slots: Slots, config: Config, borne: Station, capsys: pytest.CaptureFixture[str], text: bytes
) -> None:
    slots.switch("1.1.0")
    exchange = Exchange(config.station.state_dir)
    exchange.say(Progress(Step.TRIAL, "", "1.1.0", 7))
    (tmp_path / "opt/trial.json").write_bytes(text)
    assert trial(tmp_path) == 1
    assert (slots.current(), slots.trial(), borne.restarts) == ("1.0.0", None, 1)
    told = "the note of the trial could not be read, and version 1.1.0 was taken back"
    assert exchange.progress() == Progress(Step.FAILED, told, "1.1.0", 7)
    assert told in capsys.readouterr().out
    assert trial(tmp_path) == 0


def test_a_note_that_cannot_be_read_is_dropped_where_there_is_no_version_to_go_back_to(
    tmp_path: Path, slots: Slots, config: Config, borne: Station, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "opt/trial.json").write_bytes(b"{")
    assert trial(tmp_path) == 0
    assert "no version to go back to: 1.0.0 stays" in capsys.readouterr().err
    assert not (tmp_path / "opt/trial.json").exists(), "its unit would be started for ever"
    assert borne.restarts == 0


def test_a_request_is_taken_and_answered_also_where_the_configuration_cannot_be_read(
    tmp_path: Path, slots: Slots, config: Config, borne: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "STATE_DIR", config.station.state_dir)
    exchange = Exchange(config.station.state_dir)
    exchange.ask(Request(7))
    exchange.incoming.write_bytes(b"a bundle")
    (tmp_path / "config.toml").write_text("[station\n")
    for _ in range(2):
        assert command.main(["--root", str(tmp_path / "opt"), "serve"], tmp_path / "config.toml") == 2
    assert not exchange.waits(), "its unit would be started again and again"
    assert not exchange.incoming.exists() and not exchange.taken.exists()
    done = exchange.progress()
    assert (done.step, done.id) == (Step.FAILED, 7)
    assert "config.toml" in done.text
