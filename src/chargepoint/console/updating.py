"""The console's `update`: a signed bundle from a USB stick, handed to the unit that may install it, and followed."""

import os
import shutil
import time
from collections.abc import Iterator, Sequence
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
            return _install(session, exchange, [Path(place)])
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
    """The newest bundle of all sticks; the unit mounts those that are not."""
    there = sticks.plugged()
    if not there:
        yield session.t("There is no USB stick.")
        return
    if any(stick.place is None for stick in there):
        session.audit_anyhow("mount a stick")
        there = _mounted(Errands(session.config.station.state_dir)) or there
    places = [stick.place for stick in there if stick.place is not None]
    if not places:
        yield session.t("Nobody mounted it: is chargepoint-errands.path enabled?")
    yield from (_stick(session, stick) for stick in there if stick.place is None)
    if places:
        yield from _install(session, exchange, places)


def _mounted(errands: Errands) -> list[sticks.Stick]:
    """Have the unit mount what is not; the sticks when all are, or when it has had its time."""
    errands.ask(MOUNT)
    end = time.monotonic() + MOUNTED_S
    there = sticks.plugged()
    while any(stick.place is None for stick in there) and time.monotonic() < end:
        time.sleep(POLL_S)
        there = sticks.plugged()
    errands.withdraw(MOUNT)
    return there


def _install(session: Session, exchange: Exchange, places: Sequence[Path]) -> Iterator[str]:
    try:
        path, manifest = newest(places, TRUSTED, session.config.station.serial)
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


def newest(places: Sequence[Path], trusted: Path, serial: str) -> tuple[Path, Manifest]:
    """The newest update with a good signature for this borne: the one file itself, or one of the directories.

    Raises BundleError.
    """
    keys = bundle.trusted(trusted)
    if len(places) == 1 and not places[0].is_dir():
        return places[0], bundle.read_manifest(places[0], keys)
    found: list[tuple[Path, Manifest]] = []
    why: BundleError | None = None
    for path in sorted(path for place in places for path in place.glob("*.bundle")):
        try:
            manifest = bundle.read_manifest(path, keys)
            manifest.for_this(serial)
        except BundleError as error:
            why = error
        else:
            found.append((path, manifest))
    if not found:
        raise why or BundleError(f"there is no *.bundle in {', '.join(map(str, places))}")
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
