"""What a technician takes along on a USB stick: the console's half, and the unit's that is root."""

import io
import os
import threading
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import pytest

from chargepoint.config_check import parse
from chargepoint.console import carrying
from chargepoint.console.access import Access
from chargepoint.console.borne import Borne
from chargepoint.console.language import Language
from chargepoint.console.session import Session
from chargepoint.console.terminal import Terminal
from chargepoint.update import saving, sticks
from chargepoint.update.bundle import BundleError
from chargepoint.update.errands import SAVE, Errands, Outcome
from chargepoint.update.sticks import PLACE, Stick

CONFIG = """
[station]
id = "X"
state_dir = "{0}/state"
run_dir = "{0}/run"
[supply]
max_current = 32
[board]
kind = "simulated"
[[evse]]
id = 1
max_current = 32
"""
LOOSE = Stick("/dev/sda1", None)


class Systemd:
    """Mounts by making the place, whose files stay when it is unmounted."""

    def __init__(self, place: Path, fails: str = "") -> None:
        self.place = place
        self.fails = fails
        self.ran: list[Sequence[str]] = []
        self.mounted = False

    def __call__(self, words: Sequence[str]) -> int:
        self.ran.append(words)
        if words[0] == self.fails and (self.mounted or words[0] == "systemd-mount"):
            return 1
        self.mounted = words[0] == "systemd-mount"
        if self.mounted:
            self.place.mkdir(exist_ok=True)
        return 0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "outgoing"
    folder.mkdir()
    (folder / "X-1.tar.gz").write_bytes(b"all of it")
    return folder


def test_the_files_are_written_to_the_stick_which_is_let_go_again(folder: Path, tmp_path: Path) -> None:
    run = Systemd(tmp_path / "out")
    assert saving.save(folder, [LOOSE], run, tmp_path / "out") == "/dev/sda1"
    assert (tmp_path / "out/X-1.tar.gz").read_bytes() == b"all of it"
    assert "--options=rw,nosuid,nodev,noexec" in run.ran[-2]
    assert run.ran[-1] == ("systemd-umount", str(tmp_path / "out"))


def test_a_stick_that_was_mounted_for_an_update_is_taken_and_one_mounted_by_hand_is_not(
    folder: Path, tmp_path: Path
) -> None:
    by_hand, ours = Stick("/dev/sda1", Path("/mnt")), Stick("/dev/sdb1", PLACE.with_name(f"{PLACE.name}-2"))
    run = Systemd(tmp_path / "out")
    assert saving.save(folder, [by_hand, ours], run, tmp_path / "out") == "/dev/sdb1"
    assert run.ran[0] == ("systemd-umount", f"{PLACE}-2"), "the same file system cannot be read-only and writable"
    with pytest.raises(BundleError, match="/dev/sda1 is mounted at /mnt by hand"):
        saving.save(folder, [by_hand], run, tmp_path / "out")
    with pytest.raises(BundleError, match="there is no USB stick"):
        saving.save(folder, [], run, tmp_path / "out")


def test_nothing_but_plain_files_of_the_folder_itself_goes_to_the_stick(folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("key")
    os.link(secret, folder / "linked")
    os.mkfifo(folder / "pipe")
    (folder / "pointing").symlink_to(secret)
    (folder / "sub").mkdir()
    saving.save(folder, [LOOSE], Systemd(tmp_path / "out"), tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["X-1.tar.gz"]
    (tmp_path / "elsewhere").symlink_to(folder)
    with pytest.raises(BundleError, match="could not be written to"):
        saving.save(tmp_path / "elsewhere", [LOOSE], Systemd(tmp_path / "out"), tmp_path / "out")


def test_a_link_on_the_stick_is_not_written_through(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("root's")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/X-1.tar.gz").symlink_to(tmp_path / "password")
    saving.save(folder, [LOOSE], Systemd(tmp_path / "out"), tmp_path / "out")
    assert (tmp_path / "password").read_text() == "root's"
    assert (tmp_path / "out/X-1.tar.gz").read_bytes() == b"all of it"


def test_a_stick_that_is_full_is_told_let_go_and_has_no_half_a_file(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: io.BufferedReader, target: io.BufferedWriter) -> None:
        target.write(source.read(3))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(saving.shutil, "copyfileobj", full)
    run = Systemd(tmp_path / "out")
    with pytest.raises(BundleError, match="/dev/sda1 could not be written to: No space left on device"):
        saving.save(folder, [LOOSE], run, tmp_path / "out")
    assert run.ran[-1][0] == "systemd-umount"
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(("fails", "told"), [("systemd-mount", "cannot be mounted"), ("systemd-umount", "be let go")])
def test_a_stick_that_cannot_be_mounted_or_let_go_is_told(folder: Path, tmp_path: Path, fails: str, told: str) -> None:
    with pytest.raises(BundleError, match=told):
        saving.save(folder, [LOOSE], Systemd(tmp_path / "out", fails), tmp_path / "out")


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    (tmp_path / "run").mkdir()
    monkeypatch.setattr(carrying, "POLL_S", 0.01)
    monkeypatch.setattr(sticks, "plugged", lambda: [LOOSE])
    config = parse(CONFIG.format(tmp_path))
    access = Access(tmp_path / "pin", tmp_path / "run")
    return Session(config, "", Terminal(io.StringIO(), io.StringIO()), Borne(config), access, Language("fr"), "Jeanne")


def report(folder: Path) -> Generator[str, None, Path]:
    yield "measured"
    (folder / "X.html").write_text("good")
    return folder / "X.html"


def unit(errands: Errands, work: Callable[[], str]) -> threading.Thread:
    """The unit's end, started by the errand."""
    asked = threading.Event()

    def serve() -> None:
        while not errands.waits(SAVE) and not asked.wait(0.01):
            pass
        errands.serve({SAVE: work})

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return thread


def test_the_console_has_a_report_written_to_the_stick_and_leaves_nothing_behind(
    session: Session, tmp_path: Path
) -> None:
    errands = Errands(session.config.station.state_dir)
    work = lambda: saving.save(errands.outgoing, [LOOSE], Systemd(tmp_path / "out"), tmp_path / "out")  # noqa: E731
    thread = unit(errands, work)
    said = list(carrying.kept(session, ["stick"], report))
    thread.join(10)
    assert said == ["measured", "X.html est sur la clé USB /dev/sda1, qui peut être retirée."]
    assert (tmp_path / "out/X.html").read_text() == "good"
    assert not errands.outgoing.exists() and not errands.waits(SAVE)


def test_what_went_wrong_at_the_stick_is_told_in_french(session: Session) -> None:
    errands = Errands(session.config.station.state_dir)

    def work() -> str:
        raise BundleError("/dev/sda1 could not be written to: No space left on device")

    thread = unit(errands, work)
    said = list(carrying.kept(session, ["stick"], report))
    thread.join(10)
    assert said[-1] == "impossible d'écrire sur /dev/sda1 : Plus de place sur le disque"


def test_a_unit_that_does_nothing_and_a_stick_that_is_not_there_are_told(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carrying, "SAVED_S", 0.03)
    said = list(carrying.kept(session, ["stick"], report))
    assert said[-1] == "Personne ne l'a écrit sur la clé : chargepoint-errands.path est-il activé ?"
    errands = Errands(session.config.station.state_dir)
    assert not errands.waits(SAVE) and not errands.outgoing.exists()
    monkeypatch.setattr(sticks, "plugged", list)
    assert list(carrying.kept(session, ["stick"], report)) == ["Il n'y a pas de clé USB."]


def test_what_became_of_an_errand_before_is_not_said_of_the_next(tmp_path: Path) -> None:
    errands = Errands(tmp_path)
    errands.ask(SAVE)
    assert errands.outcome(SAVE) is None
    errands.serve({SAVE: lambda: "/dev/sda1"})
    assert errands.outcome(SAVE) == Outcome(True, "/dev/sda1")
    errands.ask(SAVE)
    assert errands.outcome(SAVE) is None


def test_without_a_stick_the_file_lies_where_it_was_wanted(session: Session, tmp_path: Path) -> None:
    said = list(carrying.kept(session, [str(tmp_path)], report))
    assert said == ["measured", f"Écrit dans {tmp_path / 'X.html'}."]
