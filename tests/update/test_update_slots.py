"""Versions stand side by side; a switch is atomic and can be taken back; what is not fit is refused."""

import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from update_rig import CONFIG, TRUSTED, Station, configured, packed, switched_on, trusted_folder

from chargepoint.config import Config
from chargepoint.update import bundle, command, health
from chargepoint.update import slots as slots_module
from chargepoint.update.bundle import BundleError, Manifest
from chargepoint.update.request import Exchange, Request, Step
from chargepoint.update.slots import KEEP, Slots


@pytest.fixture
def slots(tmp_path: Path) -> Slots:
    slots = Slots(tmp_path / "opt")
    slots.install(packed(tmp_path, "1.0.0"), TRUSTED, "ARD-0001")
    slots.switch("1.0.0")
    return slots


def test_a_new_version_is_laid_beside_the_running_one_and_switched_to(tmp_path: Path, slots: Slots) -> None:
    slots.install(packed(tmp_path, "1.1.0"), TRUSTED, "ARD-0001")
    assert slots.current() == "1.0.0"
    slots.switch("1.1.0")
    assert (tmp_path / "opt/current/lib/x.py").read_text() == "1.1.0"
    trial = slots.trial()
    assert trial is not None
    assert (trial.version, trial.previous) == ("1.1.0", "1.0.0")
    slots.confirm()
    assert slots.trial() is None


def test_a_version_on_trial_goes_back_to_the_one_before(tmp_path: Path, slots: Slots) -> None:
    slots.install(packed(tmp_path, "1.1.0"), TRUSTED, "ARD-0001")
    slots.switch("1.1.0")
    assert slots.roll_back() == "1.0.0"
    assert slots.current() == "1.0.0"
    with pytest.raises(BundleError, match="no version is on trial"):
        slots.roll_back()


def test_a_switch_in_the_middle_of_a_trial_leads_back_to_the_version_that_had_proved_itself(
    tmp_path: Path, slots: Slots
) -> None:
    for version in ("1.1.0", "1.2.0"):
        slots.install(packed(tmp_path, version), TRUSTED, "ARD-0001")
        slots.switch(version)
    assert slots.roll_back() == "1.0.0"


def test_a_switch_back_to_the_version_before_the_trial_is_no_trial_of_it(tmp_path: Path, slots: Slots) -> None:
    slots.install(packed(tmp_path, "1.1.0"), TRUSTED, "ARD-0001")
    slots.switch("1.1.0")
    slots.switch("1.0.0")
    assert (slots.current(), slots.trial()) == ("1.0.0", None)


def test_a_trial_that_a_power_cut_parted_from_its_switch_is_dropped_at_the_next_start(
    tmp_path: Path, slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = slots._link

    def cut(name: str, version: str) -> None:
        if name == "current":
            raise KeyboardInterrupt
        link(name, version)

    slots.install(packed(tmp_path, "1.1.0"), TRUSTED, "ARD-0001")
    with monkeypatch.context() as power:
        power.setattr(slots, "_link", cut)
        with pytest.raises(KeyboardInterrupt):
            slots.switch("1.1.0")
    assert slots.trial() is not None
    assert slots.started() is None
    assert (slots.current(), slots.trial()) == ("1.0.0", None)


def test_a_bundle_that_is_exchanged_after_it_was_checked_is_refused(
    tmp_path: Path, slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, other = packed(tmp_path, "1.1.0"), packed(tmp_path, "1.1.0", borne="ARD-0002")
    check = slots.check

    def exchanged(*words: object) -> None:
        check(*words)  # type: ignore[arg-type]
        other.replace(good)

    monkeypatch.setattr(slots, "check", exchanged)
    with pytest.raises(BundleError, match="exchanged"):
        slots.install(good, TRUSTED, "ARD-0001")
    assert slots.installed() == ["1.0.0"]


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda t: packed(t, "0.9.9"), "older than the running 1.0.0"),
        (lambda t: packed(t, "1.0.0"), "the same as the running 1.0.0"),
        (lambda t: packed(t, "1.1.0", borne="ARD-0002"), "for borne ARD-0002; this is ARD-0001"),
        (lambda t: packed(t, "1.1.0", kind="provision"), "of kind 'provision', not an update"),
        (lambda t: packed(t, "1.1.0", says="9.9.9"), "does not run on this machine, it said: chargepoint 9.9.9"),
    ],
)
def test_what_does_not_fit_is_refused_and_leaves_no_trace(tmp_path: Path, slots: Slots, make: object, why: str) -> None:
    assert callable(make)
    with pytest.raises(BundleError, match=why):
        slots.install(make(tmp_path), TRUSTED, "ARD-0001")
    assert slots.installed() == ["1.0.0"]
    assert slots.current() == "1.0.0"
    assert sorted(p.name for p in (tmp_path / "opt/versions").iterdir()) == ["1.0.0"]


def test_an_older_version_can_be_asked_for(tmp_path: Path, slots: Slots) -> None:
    assert slots.install(packed(tmp_path, "0.9.0"), TRUSTED, "ARD-0001", downgrade=True) == "0.9.0"
    assert slots.installed() == ["0.9.0", "1.0.0"]


def test_a_bundle_for_this_borne_alone_fits(tmp_path: Path, slots: Slots) -> None:
    assert slots.install(packed(tmp_path, "1.1.0", borne="ARD-0001"), TRUSTED, "ARD-0001") == "1.1.0"


def test_an_installation_cut_off_halfway_is_laid_anew(tmp_path: Path, slots: Slots) -> None:
    half = tmp_path / "opt/versions/.1.1.0.laying/lib"
    half.mkdir(parents=True)
    (half / "rest.py").write_text("")
    slots.install(packed(tmp_path, "1.1.0"), TRUSTED, "ARD-0001")
    assert not (tmp_path / "opt/versions/1.1.0/lib/rest.py").exists()


def test_a_version_that_is_not_installed_is_named_with_those_that_are(slots: Slots) -> None:
    with pytest.raises(BundleError, match=r"'2\.0' is not installed; there is 1\.0\.0"):
        slots.switch("2.0")
    with pytest.raises(BundleError, match="not installed"):
        slots.switch("../../etc")


def test_old_versions_are_cleared_away_when_one_is_confirmed(tmp_path: Path, slots: Slots) -> None:
    for minor in range(1, 6):
        slots.install(packed(tmp_path, f"1.{minor}.0"), TRUSTED, "ARD-0001")
        slots.switch(f"1.{minor}.0")
        slots.confirm()
    assert slots.installed() == ["1.3.0", "1.4.0", "1.5.0"]
    assert len(slots.installed()) == KEEP


@pytest.mark.parametrize(("installed", "needed"), [(None, 1), ("1", 2)])
def test_a_version_that_needs_other_units_than_the_package_brought_is_refused_with_the_remedy(
    tmp_path: Path, slots: Slots, installed: str | None, needed: int
) -> None:
    """A bundle brings no units."""
    if installed is not None:
        (tmp_path / "units-number").write_text(f"{installed}\n")
    slots = Slots(tmp_path / "opt", tmp_path)
    wanted = f"needs units of number {needed}, .* brought number {installed or 0}: install the Debian package of"
    with pytest.raises(BundleError, match=wanted):
        slots.check(Manifest("update", "", "1.1.0", (), needs_units=needed), "ARD-0001")
    slots.check(Manifest("update", "", "1.1.0", (), needs_units=needed - 1), "ARD-0001")


@pytest.fixture
def reinstalling(tmp_path: Path, slots: Slots) -> Slots:
    """The power went while the package laid the version that runs once more: its place is half cleared."""
    versions = tmp_path / "opt/versions"
    shutil.copytree(versions / "1.0.0", versions / ".1.0.0.laying")
    shutil.rmtree(versions / "1.0.0/bin")
    (tmp_path / "opt/current").unlink()
    (tmp_path / "opt/current").symlink_to("versions/.1.0.0.laying")
    return slots


def test_a_version_that_was_being_laid_anew_when_the_power_went_is_itself(
    tmp_path: Path, reinstalling: Slots, borne: Station
) -> None:
    assert reinstalling.current() == "1.0.0"
    with pytest.raises(BundleError, match="the same as the running"):
        reinstalling.install(packed(tmp_path, "1.0.0"), TRUSTED, "ARD-0001")
    (tmp_path / "config.toml").write_text(CONFIG.format(tmp_path))
    assert command.main(["--root", str(tmp_path / "opt"), "trial"], tmp_path / "config.toml") == 0
    assert borne.restarts == 0, "it runs what it shall run"


def test_an_update_of_a_version_that_was_being_laid_anew_leads_back_to_the_whole_of_it(
    tmp_path: Path, reinstalling: Slots
) -> None:
    reinstalling.install(packed(tmp_path, "1.1.0"), TRUSTED, "ARD-0001")
    reinstalling.switch("1.1.0")
    assert (tmp_path / "opt/before/bin/chargepoint").exists()
    reinstalling.install(packed(tmp_path, "1.2.0"), TRUSTED, "ARD-0001")
    assert reinstalling.roll_back() == "1.0.0"
    assert (tmp_path / "opt/current/bin/chargepoint").exists()


def test_health_names_what_is_missing() -> None:
    well = {"version": "2", "evses": [{"id": 1, "status": "Available"}], "ocpp": {"connected": True}}
    assert health.complaint(well, "2", needs_backend=True) == ""
    assert "does not answer" in health.complaint(None, "2", needs_backend=True)
    assert "not 3" in health.complaint(well, "3", needs_backend=True)
    assert "no point" in health.complaint({**well, "evses": [{"id": 1, "status": "Faulted"}]}, "2", needs_backend=True)
    assert "not connected" in health.complaint({**well, "ocpp": {"connected": False}}, "2", needs_backend=True)
    assert health.complaint({**well, "ocpp": {"connected": False}}, "2", needs_backend=False) == ""
    faulty = {**well, "evses": [{"id": 1, "status": "Faulted"}]}
    assert health.complaint(faulty, "2", needs_backend=True, was_usable=False) == ""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return configured(tmp_path)


@pytest.fixture
def borne(slots: Slots, monkeypatch: pytest.MonkeyPatch) -> Station:
    return switched_on(Station(slots), monkeypatch)


def served(tmp_path: Path, slots: Slots, config: Config, path: Path) -> Exchange:
    exchange = Exchange(config.station.state_dir)
    exchange.folder.mkdir(parents=True)
    path.rename(exchange.incoming)
    exchange.ask(Request(7))
    keys = trusted_folder(tmp_path)
    public = bundle.make_keys(tmp_path / "other")[1]
    public.rename(keys / "other.pem")
    request = exchange.take()
    assert request is not None
    command.serve_one(slots, config, exchange, request, keys)
    assert exchange.take() is None
    return exchange


def test_the_station_has_an_update_installed_when_no_car_charges(
    tmp_path: Path, slots: Slots, config: Config, borne: Station
) -> None:
    borne.charging = [5, 5, 5, None]
    done = served(tmp_path, slots, config, packed(tmp_path, "1.1.0")).progress()
    assert (done.step, done.version, done.id) == (Step.INSTALLED, "1.1.0", 7)
    assert slots.current() == "1.1.0"
    assert slots.trial() is None
    assert borne.now >= 2 * command.IDLE_POLL_S
    assert borne.restarts == 1


def test_a_version_that_does_not_get_well_is_taken_back(
    tmp_path: Path, slots: Slots, config: Config, borne: Station
) -> None:
    borne.broken = "1.1.0"
    done = served(tmp_path, slots, config, packed(tmp_path, "1.1.0")).progress()
    assert done.step is Step.FAILED
    assert slots.current() == "1.0.0"
    assert borne.now >= health.TRIAL_S
    assert borne.restarts == 2


def test_services_that_cannot_be_restarted_bring_the_old_version_back(
    tmp_path: Path, slots: Slots, config: Config, borne: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise BundleError("the services could not be restarted: no systemd")

    monkeypatch.setattr(command, "_restart", refuse)
    done = served(tmp_path, slots, config, packed(tmp_path, "1.1.0")).progress()
    assert (done.step, done.text) == (Step.FAILED, "the services could not be restarted: no systemd")
    assert slots.current() == "1.0.0"
    assert slots.trial() is None


def test_a_bundle_that_is_not_signed_by_us_never_reaches_the_disk(
    tmp_path: Path, slots: Slots, config: Config, borne: Station
) -> None:
    bad = tmp_path / "bad.bundle"
    bundle.write(bad, Manifest("update", "", "9.0", ()), {}, Ed25519PrivateKey.generate())
    done = served(tmp_path, slots, config, bad).progress()
    assert done.step is Step.INVALID
    assert "trusted key" in done.text
    assert slots.installed() == ["1.0.0"]
    assert borne.restarts == 0


def test_a_version_that_never_survives_the_start_of_the_machine_is_taken_back(
    tmp_path: Path,
    slots: Slots,
    borne: Station,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slots.install(packed(tmp_path, "1.1.0"), TRUSTED, "ARD-0001")
    slots.switch("1.1.0")
    boot = tmp_path / "boot_id"
    monkeypatch.setattr(slots_module, "BOOT_ID", boot)
    for start in ("first", "second", "third"):
        boot.write_text(start)
        slots.started()
    file = tmp_path / "config.toml"
    file.write_text(CONFIG.format(tmp_path))
    assert command.main(["--root", str(tmp_path / "opt"), "trial", "--boot"], file) == 1
    assert slots.current() == "1.0.0"
    assert "did not survive" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("before", "broken", "told"),
    [(Step.TRIAL, "", Step.INSTALLED), (Step.TRIAL, "1.1.0", Step.FAILED), (Step.FAILED, "", Step.FAILED)],
)
def test_who_asked_is_told_the_end_of_a_trial_that_a_power_cut_interrupted(
    tmp_path: Path, slots: Slots, config: Config, borne: Station, before: Step, broken: str, told: Step
) -> None:
    slots.install(packed(tmp_path, "1.1.0"), TRUSTED, "ARD-0001")
    slots.switch("1.1.0")
    exchange = Exchange(config.station.state_dir)
    exchange.say(command.Progress(before, "", "1.1.0", 7))
    borne.broken = broken
    file = tmp_path / "config.toml"
    file.write_text(CONFIG.format(tmp_path))
    command.main(["--root", str(tmp_path / "opt"), "trial", "--boot"], file)
    assert (exchange.progress().step, exchange.progress().id) == (told, 7)


def test_who_asked_is_told_that_a_power_cut_ended_the_laying_out(
    tmp_path: Path, slots: Slots, config: Config, borne: Station
) -> None:
    exchange = Exchange(config.station.state_dir)
    exchange.say(command.Progress(Step.INSTALLING, "", "1.1.0", 7))
    file = tmp_path / "config.toml"
    file.write_text(CONFIG.format(tmp_path))
    assert command.main(["--root", str(tmp_path / "opt"), "trial", "--boot"], file) == 0
    assert exchange.progress().step is Step.FAILED
    assert borne.restarts == 0


@pytest.mark.parametrize("step", ["install", "switch"])
def test_a_full_disk_ends_an_update_that_was_asked_for_with_a_sentence(
    tmp_path: Path, slots: Slots, config: Config, borne: Station, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def full(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(slots, step, full)
    done = served(tmp_path, slots, config, packed(tmp_path, "1.1.0")).progress()
    assert done.step is Step.FAILED
    assert "No space left" in done.text


def test_the_command_line_refuses_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "config.toml"
    file.write_text(CONFIG.format(tmp_path))
    keys = tmp_path / "keys"
    words = ["--root", str(tmp_path / "opt"), "--trusted", str(keys), "install", str(packed(tmp_path, "1.1.0"))]
    assert command.main(words, file) == 1
    assert "no trusted key is installed" in capsys.readouterr().err


def test_an_office_signs_a_folder_and_a_borne_lists_what_it_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.toml"
    file.write_text(CONFIG.format(tmp_path))
    folder = tmp_path / "v/bin"
    folder.mkdir(parents=True)
    (folder / "chargepoint").write_text("#!/bin/sh\necho chargepoint 3.1\n")
    (folder / "chargepoint").chmod(0o755)
    (tmp_path / "v/units-number").write_text("2\n")
    assert command.main(["keys", str(tmp_path / "office")], file) == 0
    key, out = str(tmp_path / "office/signing.key"), str(tmp_path / "b")
    assert command.main(["sign", str(tmp_path / "v"), "3.1", out, "--key", key], file) == 0
    assert bundle.read_manifest(tmp_path / "b", bundle.trusted(tmp_path / "office")).needs_units == 2
    Slots(tmp_path / "opt", tmp_path / "v").install(tmp_path / "b", bundle.trusted(tmp_path / "office"), "ARD-0001")
    capsys.readouterr()
    assert command.main(["--root", str(tmp_path / "opt"), "list"], file) == 0
    assert capsys.readouterr().out == "3.1\n"
    assert json.loads(json.dumps(Step.INSTALLED)) == "Installed"


def test_a_link_laid_into_the_stations_folder_is_not_followed(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path / "state")
    exchange.folder.mkdir(parents=True)
    precious = tmp_path / "precious"
    precious.write_text("stays")
    (exchange.folder / "status.new").symlink_to(precious)
    exchange.ask(Request(1))
    exchange.say(command.Progress(Step.INSTALLING))
    assert precious.read_text() == "stays"
    assert exchange.progress().step is Step.INSTALLING


def test_the_last_version_that_did_its_work_stays_beside_newer_ones_that_were_taken_back(
    tmp_path: Path, slots: Slots
) -> None:
    for version in ("1.1.0", "1.2.0", "1.3.0"):
        slots.install(packed(tmp_path, version), TRUSTED, "ARD-0001")
        slots.switch(version)
        slots.roll_back()
    slots.install(packed(tmp_path, "0.9.0"), TRUSTED, "ARD-0001", downgrade=True)
    slots.switch("0.9.0")
    slots.confirm()
    assert slots.installed() == ["0.9.0", "1.0.0", "1.3.0"]


def test_who_may_not_write_may_read_a_version_whatever_the_mask_of_who_installed_it(
    tmp_path: Path, slots: Slots
) -> None:
    mask = os.umask(0o077)
    try:
        slots.install(packed(tmp_path, "1.1.0"), TRUSTED, "ARD-0001")
    finally:
        os.umask(mask)
    place = tmp_path / "opt/versions/1.1.0"
    modes = {path: path.stat().st_mode & 0o777 for path in [place, *place.rglob("*")]}
    assert all(mode == 0o755 for path, mode in modes.items() if path.is_dir())
    assert all(mode & 0o044 == 0o044 for mode in modes.values())


def test_what_a_power_cut_left_half_laid_out_is_cleared_away_with_the_next_bundle(tmp_path: Path, slots: Slots) -> None:
    for half in (".1.0.5.laying", ".1.0.5.aside"):
        (tmp_path / "opt/versions" / half / "lib").mkdir(parents=True)
    slots.install(packed(tmp_path, "1.1.0"), TRUSTED, "ARD-0001")
    assert sorted(path.name for path in (tmp_path / "opt/versions").iterdir()) == ["1.0.0", "1.1.0"]


def test_two_bundles_are_not_laid_out_at_once(tmp_path: Path, slots: Slots, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = packed(tmp_path, "1.1.0"), packed(tmp_path, "1.2.0")

    def meanwhile(*_: object) -> None:
        monkeypatch.setattr(slots_module, "_try", lambda *_: None)
        with pytest.raises(BundleError, match="another bundle is being laid out"):
            Slots(tmp_path / "opt").install(second, TRUSTED, "ARD-0001")

    monkeypatch.setattr(slots_module, "_try", meanwhile)
    slots.install(first, TRUSTED, "ARD-0001")
    assert slots.installed() == ["1.0.0", "1.1.0"]


def test_a_bundle_does_not_take_the_room_the_journal_needs(
    tmp_path: Path, slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots_module.shutil, "disk_usage", lambda _: SimpleNamespace(free=slots_module.RESERVE + 10))
    with pytest.raises(BundleError, match="the disk is too full: 10 bytes may be used"):
        slots.install(packed(tmp_path, "1.1.0"), TRUSTED, "ARD-0001")
    assert sorted(path.name for path in (tmp_path / "opt/versions").iterdir()) == ["1.0.0"]


def test_a_disk_that_fills_up_after_the_files_are_laid_out_leaves_no_trace(
    tmp_path: Path, slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(slots_module, "_compile", full)
    with pytest.raises(OSError, match="No space"):
        slots.install(packed(tmp_path, "1.1.0"), TRUSTED, "ARD-0001")
    assert sorted(path.name for path in (tmp_path / "opt/versions").iterdir()) == ["1.0.0"]


def test_the_version_a_trial_may_go_back_to_is_not_replaced(tmp_path: Path, slots: Slots) -> None:
    slots.install(packed(tmp_path, "1.1.0"), TRUSTED, "ARD-0001")
    slots.switch("1.1.0")
    with pytest.raises(BundleError, match=r"version 1\.0\.0 is the way back"):
        slots.install(packed(tmp_path, "1.0.0"), TRUSTED, "ARD-0001", downgrade=True)


def test_a_request_has_a_bundle_of_its_own_and_none_stays_behind(
    tmp_path: Path, slots: Slots, config: Config, borne: Station
) -> None:
    exchange = Exchange(config.station.state_dir)
    other = packed(tmp_path, "1.2.0")

    def asked_meanwhile() -> None:
        if other.exists():
            other.rename(exchange.incoming)
            exchange.ask(Request(8))

    borne.charging = [5, 5, None]
    borne.on_sleep = asked_meanwhile
    exchange.folder.mkdir(parents=True)
    packed(tmp_path, "1.1.0").rename(exchange.incoming)
    exchange.ask(Request(7))
    request = exchange.take()
    assert request is not None and exchange.progress().step is Step.TAKEN
    keys = trusted_folder(tmp_path)
    command.serve_one(slots, config, exchange, request, keys)
    assert slots.current() == "1.1.0"
    request = exchange.take()
    assert request is not None and request.id == 8
    command.serve_one(slots, config, exchange, request, keys)
    assert slots.current() == "1.2.0"
    assert [path.name for path in exchange.folder.iterdir()] == ["status.json"]


def test_what_became_of_one_update_is_not_said_of_the_next(config: Config) -> None:
    exchange = Exchange(config.station.state_dir)
    exchange.say(command.Progress(Step.INSTALLED, "", "1.1.0", 7))
    exchange.ask(Request(8))
    assert exchange.progress().step is Step.IDLE
    assert exchange.waits()
    assert exchange.withdraw()
    assert (exchange.take(), exchange.withdraw()) == (None, False)


def test_a_status_that_cannot_be_read_is_none(config: Config) -> None:
    exchange = Exchange(config.station.state_dir)
    exchange.folder.mkdir(parents=True)
    (exchange.folder / "status.json").write_text('{"step": "Somewhere"')
    assert exchange.progress().step is Step.IDLE
