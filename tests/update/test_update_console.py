"""An update from a USB stick, from the technician's word to the verdict: the console's half and the unit's."""

import io
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from update_rig import TRUSTED, configured, packed, trusted_folder

from chargepoint.console import updating
from chargepoint.console.access import Access
from chargepoint.console.borne import Borne
from chargepoint.console.language import Language
from chargepoint.console.session import Session
from chargepoint.console.terminal import Terminal
from chargepoint.update import command, health, sticks
from chargepoint.update.errands import MOUNT, Errands
from chargepoint.update.request import Exchange
from chargepoint.update.slots import RESERVE, Slots
from chargepoint.update.sticks import Stick


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    stick = tmp_path / "stick"
    stick.mkdir()
    return stick


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = trusted_folder(tmp_path)
    monkeypatch.setattr(updating, "TRUSTED", folder)
    monkeypatch.setattr(updating, "POLL_S", 0.01)
    return folder


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    config = configured(tmp_path)
    session = Session(
        config, "", Terminal(io.StringIO("oui\n"), io.StringIO()), Borne(config),
        Access(tmp_path / "pin", tmp_path / "run"), Language("fr"), "Jeanne",
    )  # fmt: skip
    audited: list[str] = []
    monkeypatch.setattr(Session, "audit", lambda self, action, evse=None: audited.append(action))
    monkeypatch.setattr(Terminal, "pressed", lambda self, seconds: time.sleep(seconds))
    return session


@pytest.fixture
def unit(tmp_path: Path, session: Session, trusted: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slots]:
    """What the path unit does as root: waits for a request and serves it. Services are not restarted."""
    slots = Slots(tmp_path / "opt")
    slots.install(packed(tmp_path, "1.0.0"), TRUSTED, "ARD-0001")
    slots.switch("1.0.0")
    slots.confirm()
    point = {"id": 1, "status": "Available", "transaction": None}
    status = {"evses": [point], "ocpp": {"connected": True}}
    monkeypatch.setattr(health, "station_status", lambda _: {"version": slots.current(), **status})
    monkeypatch.setattr(health, "SETTLED_S", 0.0)
    monkeypatch.setattr(command, "_restart", lambda: None)
    exchange, end = Exchange(session.config.station.state_dir), threading.Event()

    def serve() -> None:
        while not end.wait(0.01):
            if exchange.folder.exists() and (request := exchange.take()) is not None:
                command.serve_one(slots, session.config, exchange, request, trusted)

    thread = threading.Thread(target=serve)
    thread.start()
    yield slots
    end.set()
    thread.join()


def test_the_newest_good_bundle_of_a_stick_is_installed_and_watched(session: Session, stick: Path, unit: Slots) -> None:
    packed(stick, "1.1.0")
    packed(stick, "1.2.0")
    packed(stick, "9.0.0", key=Ed25519PrivateKey.generate())
    said = list(updating.update(session, [str(stick)]))
    assert "version 1.2.0, signée d'une clé de confiance" in said[0]
    assert said[-1] == "1.2.0: elle va bien et reste"
    assert unit.current() == "1.2.0"
    assert list(updating.update(session, []))[1] == "1.2.0: elle va bien et reste"


def test_a_version_that_does_not_fit_is_told_why_in_french(session: Session, stick: Path, unit: Slots) -> None:
    packed(stick, "0.9.0")
    said = list(updating.update(session, [str(stick)]))
    assert said[-1] == "0.9.0: ÉCHEC: la version 0.9.0 est plus ancienne que la version en service, 1.0.0 ; " + (
        "--downgrade l'installe quand même"
    )
    assert unit.current() == "1.0.0"


def test_what_nobody_trusted_signed_never_leaves_the_stick(session: Session, stick: Path, trusted: Path) -> None:
    packed(stick, "2.0.0", key=Ed25519PrivateKey.generate())
    said = list(updating.update(session, [str(stick)]))
    assert said == ["la signature de 2.0.0--update.bundle n'est pas d'une clé de confiance"]
    assert not (session.config.station.state_dir / "update").exists()


def test_sticks_are_listed_with_what_is_on_them_or_how_to_mount_them(
    session: Session, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed(stick, "1.1.0")
    there = [Stick("/dev/sda1", stick), Stick("/dev/sdb1", None)]
    monkeypatch.setattr(sticks, "plugged", lambda: there)
    said = list(updating.update(session, []))
    assert said[-2].startswith(f"La clé USB /dev/sda1 est montée sur {stick} : ") and "1.1.0" in said[-2]
    assert said[-1].startswith("La clé USB /dev/sdb1 n'est pas montée : `update stick` la monte en lecture seule")
    assert "mount -o ro,nosuid,nodev,noexec /dev/sdb1 /mnt" in said[-1]


def test_a_stick_that_is_not_mounted_is_mounted_by_the_unit_and_its_newest_bundle_installed(
    session: Session, stick: Path, unit: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed(stick, "1.1.0")
    errands = Errands(session.config.station.state_dir)
    mounted: list[Path] = []

    def plugged() -> list[Stick]:
        """Loose, until the unit has taken the errand."""
        errands.serve({MOUNT: lambda: mounted.append(stick)})
        return [Stick("/dev/sda1", mounted[0] if mounted else None)]

    monkeypatch.setattr(sticks, "plugged", plugged)
    said = list(updating.update(session, ["stick"]))
    assert said[-1] == "1.1.0: elle va bien et reste" and unit.current() == "1.1.0"
    assert not errands.waits(MOUNT)


def test_of_two_sticks_the_one_with_the_bundle_is_found_whichever_was_mounted(
    session: Session, stick: Path, unit: Slots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty, errands = tmp_path / "empty", Errands(session.config.station.state_dir)
    empty.mkdir()
    packed(stick, "1.1.0")
    mounted: list[Path] = []

    def plugged() -> list[Stick]:
        errands.serve({MOUNT: lambda: mounted.append(stick)})
        return [Stick("/dev/sda1", empty), Stick("/dev/sdb1", mounted[0] if mounted else None)]

    monkeypatch.setattr(sticks, "plugged", plugged)
    said = list(updating.update(session, ["stick"]))
    assert said[-1] == "1.1.0: elle va bien et reste" and unit.current() == "1.1.0"


def test_a_stick_that_nobody_mounts_is_told_and_the_others_are_looked_at(
    session: Session, stick: Path, trusted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(updating, "MOUNTED_S", 0.03)
    monkeypatch.setattr(sticks, "plugged", lambda: [Stick("/dev/sda1", None), Stick("/dev/sdb1", stick)])
    said = list(updating.update(session, ["stick"]))
    assert said[0].startswith("La clé USB /dev/sda1 n'est pas montée")
    assert said[1:] == [f"il n'y a pas de *.bundle dans {stick}"]


def test_a_stick_that_nobody_mounts_is_told_with_what_to_type(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(updating, "MOUNTED_S", 0.03)
    monkeypatch.setattr(updating, "POLL_S", 0.01)
    monkeypatch.setattr(sticks, "plugged", lambda: [Stick("/dev/sda1", None)])
    said = list(updating.update(session, ["stick"]))
    assert said[0] == "Personne ne l'a montée : chargepoint-errands.path est-il activé ?"
    assert "/dev/sda1 /mnt" in said[1] and not Errands(session.config.station.state_dir).waits(MOUNT)
    monkeypatch.setattr(sticks, "plugged", list)
    assert list(updating.update(session, ["stick"])) == ["Il n'y a pas de clé USB."]


def test_an_empty_stick_is_told(session: Session, stick: Path, trusted: Path) -> None:
    assert list(updating.update(session, [str(stick)])) == [f"il n'y a pas de *.bundle dans {stick}"]


def test_a_request_that_no_unit_takes_is_told(
    session: Session, stick: Path, trusted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(updating, "NOTICED_S", 0.05)
    said = list(updating.update(session, [str(packed(stick, "1.1.0"))]))
    assert said[-1].startswith("aucun programme n'a pris l'image")
    assert not Exchange(session.config.station.state_dir).waits(), "it would be installed tomorrow"


def test_a_stick_that_is_pulled_while_it_is_copied_leaves_nothing_behind(
    session: Session, stick: Path, trusted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pulled(source: io.BufferedReader, target: io.BufferedWriter) -> None:
        target.write(source.read(100))
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(updating.shutil, "copyfileobj", pulled)
    with pytest.raises(OSError, match="Input/output"):
        list(updating.update(session, [str(packed(stick, "1.1.0"))]))
    assert list((session.config.station.state_dir / "update").iterdir()) == []


def test_a_bundle_that_would_take_the_room_of_the_journal_is_not_copied(
    session: Session, stick: Path, trusted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(updating.shutil, "disk_usage", lambda _: SimpleNamespace(free=RESERVE + 10))
    said = list(updating.update(session, [str(packed(stick, "1.1.0"))]))
    assert said[-1].startswith("le disque est trop plein : 10 octets utilisables")
    assert list((session.config.station.state_dir / "update").iterdir()) == []


def test_of_a_stick_for_several_bornes_the_bundle_for_this_one_is_taken(
    session: Session, stick: Path, unit: Slots
) -> None:
    for borne in ("ARD-0000", "ARD-0001", "ARD-0002"):
        packed(stick, "1.1.0", borne=borne)
    packed(stick, "7.0.0", kind="provision")
    assert list(updating.update(session, [str(stick)]))[-1] == "1.1.0: elle va bien et reste"
