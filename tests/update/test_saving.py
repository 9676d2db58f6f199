"""What a technician takes along on a USB stick: the console's half, and the unit's that is root."""

import io
import os
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from update_rig import configured

from chargepoint.console import carrying
from chargepoint.console.access import Access
from chargepoint.console.borne import Borne
from chargepoint.console.language import Language
from chargepoint.console.session import Session
from chargepoint.console.terminal import Terminal
from chargepoint.text import file_name
from chargepoint.update import saving, sticks
from chargepoint.update.bundle import BundleError
from chargepoint.update.errands import MOUNT, SAVE, Errands, Outcome
from chargepoint.update.sticks import PLACE, Stick

LOOSE = Stick("/dev/sda1", None)


class Systemd:
    """Mounts by making the place, whose files stay when it is unmounted."""

    def __init__(self, place: Path, fails: str = "", refused: str = "") -> None:
        self.place = place
        self.fails = fails
        self.refused = refused
        self.ran: list[Sequence[str]] = []
        self.mounted = False

    def __call__(self, words: Sequence[str]) -> int:
        self.ran.append(words)
        if words[0] == self.fails and (self.mounted or words[0] == "systemd-mount"):
            return 1
        if self.refused in words:
            return 32
        self.mounted = words[0] == "systemd-mount"
        if self.mounted:
            self.place.mkdir(exist_ok=True)
        return 0


@pytest.fixture
def outgoing(tmp_path: Path) -> Path:
    """A run directory in which a console has laid an archive."""
    folder = tmp_path / "run/outgoing-1"
    folder.mkdir(parents=True)
    (folder / "X-1.tar.gz").write_bytes(b"all of it")
    return folder


def written(outgoing: Path, there: list[Stick], run: Systemd) -> list[str]:
    return saving.save(outgoing.parent, there, run, run.place)


def test_the_files_are_written_to_the_stick_which_is_let_go_again(outgoing: Path, tmp_path: Path) -> None:
    run = Systemd(tmp_path / "out")
    assert written(outgoing, [LOOSE], run) == ["/dev/sda1", "X-1.tar.gz"]
    assert (run.place / "X-1.tar.gz").read_bytes() == b"all of it"
    assert "--options=rw,nosuid,nodev,noexec" in run.ran[-2]
    assert run.ran[-1] == ("systemd-umount", str(run.place))


def test_a_stick_that_was_mounted_for_an_update_is_taken_and_one_mounted_by_hand_is_not(
    outgoing: Path, tmp_path: Path
) -> None:
    by_hand, ours = Stick("/dev/sda1", Path("/mnt")), Stick("/dev/sdb1", PLACE.with_name(f"{PLACE.name}-2"))
    run = Systemd(tmp_path / "out")
    assert written(outgoing, [by_hand, ours], run)[0] == "/dev/sdb1"
    assert run.ran[0] == ("systemd-umount", f"{PLACE}-2"), "the same file system cannot be read-only and writable"
    with pytest.raises(BundleError, match="/dev/sda1 is mounted at /mnt by hand"):
        written(outgoing, [by_hand], run)
    with pytest.raises(BundleError, match="there is no USB stick"):
        written(outgoing, [], run)


def test_the_largest_file_system_that_takes_it_is_the_one(outgoing: Path, tmp_path: Path) -> None:
    efi, reserved, data = (
        Stick("/dev/sda1", None, 409600),
        Stick("/dev/sda2", None, 10**7),
        Stick("/dev/sda3", None, 9**7),
    )
    run = Systemd(tmp_path / "out", refused="/dev/sda2")
    assert written(outgoing, [efi, reserved, data], run)[0] == "/dev/sda3"
    with pytest.raises(BundleError, match="/dev/sda2 cannot be mounted"):
        written(outgoing, [reserved], run)


def test_nothing_but_what_a_console_makes_goes_to_the_stick(outgoing: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("key")
    (outgoing / "run.exe").write_text("from the borne")
    (outgoing / ".hidden.html").write_text("")
    (outgoing.parent / "outgoing-2").symlink_to(tmp_path)
    (tmp_path / "other.html").write_text("not the console's")
    run = Systemd(tmp_path / "out")
    written(outgoing, [LOOSE], run)
    assert [path.name for path in run.place.iterdir()] == ["X-1.tar.gz"]
    for lay in (
        lambda path: path.symlink_to(secret),
        lambda path: os.link(secret, path),
        os.mkfifo,
        Path.mkdir,
    ):
        wrong = outgoing / "wrong.html"
        lay(wrong)
        with pytest.raises(BundleError, match=r"could not be written to|not a plain file"):
            written(outgoing, [LOOSE], run)
        assert not (run.place / "wrong.html").exists()
        wrong.rmdir() if wrong.is_dir() else wrong.unlink()


def test_where_there_is_nothing_to_write_no_stick_is_touched(tmp_path: Path) -> None:
    run = Systemd(tmp_path / "out")
    with pytest.raises(BundleError, match="nothing to write"):
        saving.save(tmp_path, [LOOSE], run, run.place)
    assert run.ran == []


def test_a_link_on_the_stick_is_not_written_through(outgoing: Path, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("root's")
    run = Systemd(tmp_path / "out")
    run.place.mkdir()
    for name in ("X-1.tar.gz", "X-1.tar.gz.part"):
        (run.place / name).symlink_to(tmp_path / "password")
    written(outgoing, [LOOSE], run)
    assert (tmp_path / "password").read_text() == "root's"
    assert (run.place / "X-1.tar.gz").read_bytes() == b"all of it"


def test_a_stick_that_is_full_is_told_let_go_and_has_no_half_a_file(
    outgoing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: io.BufferedReader, target: io.BufferedWriter) -> None:
        target.write(source.read(3))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(saving.shutil, "copyfileobj", full)
    run = Systemd(tmp_path / "out")
    with pytest.raises(BundleError, match="/dev/sda1 could not be written to: No space left on device"):
        written(outgoing, [LOOSE], run)
    assert run.ran[-1][0] == "systemd-umount"
    assert list(run.place.iterdir()) == []


@pytest.mark.parametrize(("fails", "told"), [("systemd-mount", "cannot be mounted"), ("systemd-umount", "be let go")])
def test_a_stick_that_cannot_be_mounted_or_let_go_is_told(
    outgoing: Path, tmp_path: Path, fails: str, told: str
) -> None:
    with pytest.raises(BundleError, match=told):
        written(outgoing, [LOOSE], Systemd(tmp_path / "out", fails))


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    (tmp_path / "run").mkdir(exist_ok=True)
    monkeypatch.setattr(carrying, "POLL_S", 0.01)
    monkeypatch.setattr(carrying, "TAKEN_S", 5.0)
    monkeypatch.setattr(carrying, "WRITTEN_S", 5.0)
    monkeypatch.setattr(sticks, "plugged", lambda: [LOOSE])
    config = configured(tmp_path)
    access = Access(tmp_path / "pin", tmp_path / "run")
    return Session(config, "", terminal("no"), Borne(config), access, Language("fr"), "Jeanne")


def terminal(*answers: str) -> Terminal:
    return Terminal(io.StringIO("".join(f"{answer}\n" for answer in answers)), io.StringIO())


def report(folder: Path) -> Generator[str, None, Path]:
    yield "measured"
    (folder / "X.html").write_text("good")
    return folder / "X.html"


@contextmanager
def unit(session: Session, *works: Callable[[], list[str]]) -> Iterator[None]:
    """The unit's end, which is started by each errand."""
    errands, over = Errands(session.config.station.state_dir), threading.Event()

    def serve() -> None:
        for work in works:
            while not errands.waits(SAVE):
                if over.wait(0.01):
                    return
            errands.serve({SAVE: work})

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(10)


def test_the_console_has_a_report_written_to_the_stick_and_leaves_nothing_behind(
    session: Session, tmp_path: Path
) -> None:
    run, run_dir = Systemd(tmp_path / "out"), tmp_path / "run"
    (run_dir / "outgoing-killed").mkdir()
    with unit(session, lambda: saving.save(run_dir, [LOOSE], run, run.place)):
        said = list(carrying.kept(session, ["stick"], report))
    assert said == [
        "measured",
        "L'écriture est en cours : laissez la clé en place.",
        "X.html est sur la clé USB /dev/sda1, qui peut être retirée.",
    ]
    assert (run.place / "X.html").read_text() == "good"
    assert list(run_dir.iterdir()) == [] and not Errands(tmp_path / "state").waits(SAVE)


def test_a_report_that_one_stick_does_not_take_is_written_to_the_next_without_measuring_again(
    session: Session,
) -> None:
    def full() -> list[str]:
        raise BundleError("/dev/sda1 could not be written to: No space left on device")

    session.terminal = terminal("oui")
    with unit(session, full, lambda: ["/dev/sdb1", "X.html"]):
        said = list(carrying.kept(session, ["stick"], report))
    assert said.count("measured") == 1
    assert "impossible d'écrire sur /dev/sda1 : Plus de place sur le disque" in said
    assert said[-1] == "X.html est sur la clé USB /dev/sdb1, qui peut être retirée."


def test_a_report_that_no_stick_takes_stays_where_it_would_be_without_one(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carrying, "TAKEN_S", 0.03)
    said = list(carrying.kept(session, ["stick"], report))
    assert said[1] == "Personne n'a pris l'ordre : chargepoint-errands.path est-il activé ?"
    assert said[-1] == f"Écrit dans {tmp_path / 'run/X.html'}."
    assert (tmp_path / "run/X.html").read_text() == "good"
    assert not Errands(tmp_path / "state").waits(SAVE)


def test_what_was_written_for_another_is_not_taken_for_ones_own(session: Session) -> None:
    with unit(session, lambda: ["/dev/sda1", "Y.html"]):
        said = list(carrying.kept(session, ["stick"], report))
    assert said[2] == "Personne ne dit si c'est écrit : regardez la clé."


def test_a_unit_that_never_ends_is_told(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carrying, "WRITTEN_S", 0.03)
    forever = threading.Event()
    with unit(session, lambda: [str(forever.wait(10))]):
        said = list(carrying.kept(session, ["stick"], report))
        forever.set()
    assert said[2] == "Personne ne dit si c'est écrit : regardez la clé."


def test_who_leaves_while_nobody_has_taken_the_order_has_it_done_by_nobody(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leaves(self: Errands, name: str, within_s: float) -> bool:
        assert self.waits(name)
        raise KeyboardInterrupt

    monkeypatch.setattr(Errands, "taken", leaves)
    with pytest.raises(KeyboardInterrupt):
        list(carrying.kept(session, ["stick"], report))
    assert not Errands(tmp_path / "state").waits(SAVE)
    assert list((tmp_path / "run").iterdir()) == []


def test_before_anything_is_measured_it_is_told_that_no_stick_can_take_it(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sticks, "plugged", list)
    assert list(carrying.kept(session, ["stick"], report)) == ["il n'y a pas de clé USB"]
    monkeypatch.setattr(sticks, "plugged", lambda: [Stick("/dev/sda1", Path("/mnt"))])
    assert list(carrying.kept(session, ["stick"], report)) == [
        "/dev/sda1 est montée à la main sur /mnt : démontez-la d'abord"
    ]
    monkeypatch.setattr(sticks, "plugged", lambda: [LOOSE])
    with Errands(session.config.station.state_dir).alone() as alone:
        assert alone
        assert list(carrying.kept(session, ["stick"], report)) == ["Une autre console remplit une clé."]


def test_what_became_of_an_errand_before_is_not_said_of_the_next(tmp_path: Path) -> None:
    errands = Errands(tmp_path)
    errands.ask(SAVE)
    assert errands.outcome(SAVE) is None
    errands.serve({SAVE: lambda: ["/dev/sda1"]})
    assert errands.outcome(SAVE) == Outcome(("/dev/sda1",))
    errands.ask(SAVE)
    assert errands.outcome(SAVE) is None


def test_an_outcome_that_cannot_be_told_keeps_the_next_errand_from_nothing(tmp_path: Path) -> None:
    errands, done = Errands(tmp_path), []
    errands.ask(SAVE)
    errands.ask(MOUNT)
    (tmp_path / "update/save.new").mkdir()
    wrong = errands.serve({SAVE: lambda: None, MOUNT: lambda: done.append(MOUNT)})
    assert len(wrong) == 1 and "what became of 'save'" in wrong[0]
    assert done == [MOUNT]


def test_without_a_stick_the_file_lies_where_it_was_wanted(session: Session, tmp_path: Path) -> None:
    said = list(carrying.kept(session, [str(tmp_path)], report))
    assert said == ["measured", f"Écrit dans {tmp_path / 'X.html'}."]


def test_a_name_that_a_stick_would_refuse_becomes_one_it_takes() -> None:
    assert file_name("FR*ARD*E0001|a/b") == "FR_ARD_E0001_a_b"
