"""The console's `update`: a signed bundle from a USB stick, handed to the unit that may install it, and followed."""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from chargepoint import __version__
from chargepoint.console.session import Lines, Session, Usage
from chargepoint.text import clean
from chargepoint.update import bundle, sticks
from chargepoint.update.bundle import BundleError, Manifest
from chargepoint.update.errands import MOUNT, Errands
from chargepoint.update.request import Exchange, Progress, Request, Step
from chargepoint.update.slots import enough_room

TRUSTED: Final = Path("/etc/chargepoint/trusted-keys")
NOTICED_S: Final = 60.0
"""A request that nobody has taken for so long is taken by nobody."""
POLL_S: Final = 0.5
MOUNTED_S: Final = 20.0

STEPS: Final = {
    Step.IDLE: "no update was asked for",
    Step.TAKEN: "its signature is being checked",
    Step.VERIFIED: "the signature is good",
    Step.INVALID: "REFUSED",
    Step.WAITING: "it is laid out and waits until no car charges",
    Step.INSTALLING: "it is being laid out",
    Step.TRIAL: "it runs, on trial for two to seven minutes",
    Step.INSTALLED: "it is well and stays",
    Step.FAILED: "FAILED",
}
LAST: Final = (Step.INVALID, Step.FAILED, Step.INSTALLED)


def update(session: Session, words: list[str]) -> Lines:
    exchange = Exchange(session.config.station.state_dir)
    match words:
        case []:
            running = session.t("Version {version} runs.", version=__version__)
            return [running, _said(session, exchange.progress()), *(_stick(session, each) for each in sticks.plugged())]
        case ["stick"]:
            return _from_stick(session, exchange)
        case [place]:
            return _install(session, exchange, Path(place))
        case _:
            raise Usage(session.t("update, update stick, or update FILE or DIRECTORY: where a signed bundle is"))


def _stick(session: Session, stick: sticks.Stick) -> str:
    if stick.place is None:
        return session.t(
            "USB stick {device} is not mounted: `update stick` mounts it read-only (by hand, as root: {words})",
            device=clean(stick.device),
            words=stick.by_hand,
        )
    try:
        found = ", ".join(sorted(path.name for path in stick.place.glob("*.bundle")))
    except OSError as error:
        found = session.t.said(error)
    return session.t(
        "USB stick {device} is mounted at {place}: {found}",
        device=clean(stick.device),
        place=clean(stick.place),
        found=clean(found, 300) or session.t("no *.bundle there"),
    )


def _from_stick(session: Session, exchange: Exchange) -> Iterator[str]:
    """The mounted stick, or the first one that is not, which the unit mounts."""
    there = sticks.plugged()
    if not there:
        yield session.t("There is no USB stick.")
        return
    place = next((stick.place for stick in there if stick.place is not None), None)
    if place is None:
        session.audit_anyhow("mount a stick")
        place = _mounted(Errands(session.config.station.state_dir))
    if place is None:
        yield session.t("Nobody mounted it: is chargepoint-errands.path enabled?")
        yield _stick(session, there[0])
        return
    yield from _install(session, exchange, place)


def _mounted(errands: Errands) -> Path | None:
    """Have the unit mount one; where it is, or None."""
    errands.ask(MOUNT)
    end = time.monotonic() + MOUNTED_S
    while time.monotonic() < end:
        place = next((stick.place for stick in sticks.plugged() if stick.place is not None), None)
        if place is not None:
            return place
        time.sleep(POLL_S)
    errands.withdraw(MOUNT)
    return None


def _install(session: Session, exchange: Exchange, place: Path) -> Iterator[str]:
    try:
        path, manifest = newest(place, TRUSTED, session.config.station.serial)
    except BundleError as error:
        yield clean(session.t.said(error), 300)
        return
    yield session.t(
        "{file}: version {version}, signed by a trusted key; version {running} runs.",
        file=clean(path.name),
        version=clean(manifest.version),
        running=__version__,
    )
    if not session.sure(session.t("It is installed when no car charges. Type yes: ")):
        yield session.t("Not done.")
        return
    session.audit_anyhow(f"update {manifest.version}")
    request = Request(int(time.time()))
    try:
        hand_over(exchange, path, request)
    except BundleError as error:
        yield clean(session.t.said(error), 300)
        return
    yield from _follow(session, exchange, request.id)


def newest(place: Path, trusted: Path, serial: str) -> tuple[Path, Manifest]:
    """The newest update with a good signature for this borne: the file itself, or one of the directory.

    Raises BundleError.
    """
    keys = bundle.trusted(trusted)
    if not place.is_dir():
        return place, bundle.read_manifest(place, keys)
    found: list[tuple[Path, Manifest]] = []
    why: BundleError | None = None
    for path in sorted(place.glob("*.bundle")):
        try:
            manifest = bundle.read_manifest(path, keys)
            manifest.for_this(serial)
        except BundleError as error:
            why = error
        else:
            found.append((path, manifest))
    if not found:
        raise why or BundleError(f"there is no *.bundle in {place}")
    return max(found, key=lambda each: bundle.version_key(each[1].version))


def hand_over(exchange: Exchange, path: Path, request: Request) -> None:
    """Lay a copy where the unit looks for it, whole or not at all, and ask. Raises OSError; BundleError: no room."""
    exchange.folder.mkdir(parents=True, exist_ok=True)
    part = exchange.incoming.with_suffix(".part")
    part.unlink(missing_ok=True)
    enough_room(exchange.folder, path.stat().st_size)
    try:
        with path.open("rb") as source, part.open("xb") as target:
            shutil.copyfileobj(source, target)
            target.flush()
            os.fsync(target.fileno())
        part.replace(exchange.incoming)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    exchange.ask(request)


def _follow(session: Session, exchange: Exchange, request: int) -> Iterator[str]:
    told: Progress | None = None
    end = time.monotonic() + NOTICED_S
    while told is None or told.step not in LAST:
        progress = exchange.progress()
        if progress.id == request and progress != told:
            told = progress
            yield _said(session, progress)
        elif told is None and time.monotonic() >= end and exchange.withdraw():
            yield session.t.said("no program took the image: is the update unit enabled?")
            return
        elif session.terminal.pressed(POLL_S):
            yield session.t("It goes on by itself; `update` says how far it is.")
            return


def _said(session: Session, progress: Progress) -> str:
    words = [clean(progress.version), session.t(STEPS[progress.step])]
    text = clean(session.t.said(progress.text), 300) if progress.step in (Step.INVALID, Step.FAILED) else ""
    return ": ".join(word for word in (*words, text) if word)
