"""`chargepoint update ...`: install, switch, confirm, roll back; and for the office: keys and bundles."""

import argparse
import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from chargepoint.config import Config
from chargepoint.config_check import ConfigError, load
from chargepoint.config_lines import written_language
from chargepoint.update import bundle, health, saving, sticks
from chargepoint.update.bundle import BundleError, Manifest
from chargepoint.update.errands import MOUNT, SAVE, Errands
from chargepoint.update.errands import RESTART as RESTART_ERRAND
from chargepoint.update.request import Exchange, Progress, Request, Step
from chargepoint.update.slots import ROOT, TRIAL_STARTS, Slots
from chargepoint.urgency import complain

STATE_DIR = Path("/var/lib/chargepoint")
"""As the unit watches it."""
RUN_DIR = Path("/run/chargepoint")
TRUSTED = Path("/etc/chargepoint/trusted-keys")
UNITS = ("chargepoint.target", "chargepoint-evse.service", "chargepoint-station.service")
RESTART = ("systemctl", "restart", "--no-block", *UNITS)
"""Not waiting: a version that falls over at its start is for the trial to judge."""
FORGIVE = ("systemctl", "reset-failed", *UNITS)
"""Units that have fallen too often are not started again before that."""
RESTART_S = 180.0
"""Longer than asking systemd for a restart may take."""
SERVE_S = 10.0
"""Longer than telling the end of a trial takes."""
IDLE_POLL_S = 10.0
IDLE_WAIT_S = 24 * 3600.0
"""An update waits at most a day for a moment in which no car charges."""


def main(words: Sequence[str], config_file: Path) -> int:
    """Exit status: 0 done, 1 refused or failed, 2 wrong words or configuration."""
    arguments = _parser().parse_args(words)
    try:
        status: int = arguments.run(arguments, config_file)
    except (BundleError, OSError) as error:
        complain(f"chargepoint update: {error}")
        return 1
    except ConfigError as error:
        complain(error.said(written_language(config_file)))
        return 2
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="chargepoint update", description="Versions side by side, with a way back.")
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    parser.add_argument("--trusted", type=Path, default=TRUSTED, help="folder of trusted public keys (PEM)")
    actions = parser.add_subparsers(required=True, metavar="ACTION")

    def add(name: str, run: Callable[[argparse.Namespace, Path], int], text: str) -> argparse.ArgumentParser:
        sub = actions.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run)
        return sub

    add("list", _list, "show the installed versions, the running one and the one on trial")
    install = add("install", _install, "install a bundle beside the running version; switch when no car charges")
    install.add_argument("bundle", type=Path)
    install.add_argument("--now", action="store_true", help="do not wait until no car charges")
    install.add_argument("--downgrade", action="store_true", help="accept an older or the same version")
    switch = add("switch", _switch, "switch to an installed version, on trial")
    switch.add_argument("version")
    add("rollback", _rollback, "go back to the version before the one on trial")
    trial = add("trial", _trial, "watch the version on trial: confirm it, or go back (a unit runs this)")
    trial.add_argument("--seconds", type=float, default=health.TRIAL_S)
    trial.add_argument("--boot", action="store_true", help=argparse.SUPPRESS)  # units of older packages say it
    serve = add("serve", _serve, "do what the station asks for in its state directory (a unit runs this)")
    serve.set_defaults(seconds=health.TRIAL_S, settled=health.SETTLED_S)
    for each in (install, switch, trial):  # shorter for proofs that install many
        each.add_argument("--settled", type=float, default=health.SETTLED_S, help=argparse.SUPPRESS)
    errands = add("errands", _errands, "restart the borne, mount or fill a stick, for the console (a unit runs this)")
    errands.add_argument("--state-dir", type=Path, default=STATE_DIR, help=argparse.SUPPRESS)
    errands.add_argument("--run-dir", type=Path, default=RUN_DIR, help=argparse.SUPPRESS)
    keys = add("keys", _keys, "make a signing pair; the .pem goes to the bornes")
    keys.add_argument("folder", type=Path)
    sign = add("sign", _sign, "make a signed bundle from a version's folder")
    sign.add_argument("folder", type=Path)
    sign.add_argument("version")
    sign.add_argument("out", type=Path)
    sign.add_argument("--key", type=Path, required=True)
    sign.add_argument("--borne", default="", help="serial of the one borne it is for")
    return parser


def _list(arguments: argparse.Namespace, _: Path) -> int:
    slots = Slots(arguments.root)
    trial = slots.trial()
    for version in slots.installed():
        marks = ["running"] if version == slots.current() else []
        marks += ["on trial"] if trial is not None and trial.version == version else []
        print(version, *(f"({mark})" for mark in marks))
    return 0


def _install(arguments: argparse.Namespace, config_file: Path) -> int:
    config = load(config_file)
    slots = Slots(arguments.root)
    version = slots.install(
        arguments.bundle, bundle.trusted(arguments.trusted), config.station.serial, arguments.downgrade
    )
    print(f"version {version} is laid out")
    if not arguments.now and not _wait_until_idle(config):
        raise BundleError(f"cars charged for a whole day; switch by hand: chargepoint update switch {version}")
    return _switch_and_watch(slots, config, version, health.TRIAL_S, arguments.settled)


def _switch(arguments: argparse.Namespace, config_file: Path) -> int:
    config = load(config_file)
    return _switch_and_watch(Slots(arguments.root), config, arguments.version, health.TRIAL_S, arguments.settled)


def _switch_and_watch(slots: Slots, config: Config, version: str, seconds: float, settled_s: float) -> int:
    slots.switch(version, health.usable(health.station_status(config.station.run_dir)))
    try:
        _restart()
    except BundleError:
        if slots.trial() is not None:
            slots.roll_back()
        raise
    return _watch(slots, lambda: config, version, seconds, settled_s)


def _rollback(arguments: argparse.Namespace, _: Path) -> int:
    print(f"back to version {Slots(arguments.root).roll_back()}")
    _restart()
    return 0


def _trial(arguments: argparse.Namespace, config_file: Path) -> int:
    """The verdict of a trial, and the word about it, where who should have given them has gone."""
    slots = Slots(arguments.root)
    torn = slots.torn()
    trial = slots.started()
    if trial is None:
        if torn:
            lost = "and there is no version to go back to"
            complain(f"the note of the trial could not be read, {lost}: {slots.current()} stays")
        _restart_another(slots, config_file)
        _tell_cut_off(slots, config_file, "the machine was started again before the switch")
        return 0
    failure = f"version {trial.version} was not well and was taken back"
    if trial.starts > TRIAL_STARTS:
        failure = f"version {trial.version} did not survive {TRIAL_STARTS} starts"
        if torn:
            failure = f"the note of the trial could not be read, and version {trial.version} was taken back"
        print(f"{failure}: back to {slots.roll_back()}")
        _restart()
        status = 1
    else:
        status = _watch(slots, lambda: load(config_file), trial.version, arguments.seconds, arguments.settled)
    _tell_cut_off(slots, config_file, failure)
    return status


def _restart_another(slots: Slots, config_file: Path) -> None:
    """A rollback that was cut off before its restart: what runs is not what `current` names."""
    try:
        status = health.station_status(load(config_file).station.run_dir)
    except ConfigError:
        return  # then no station runs
    current = slots.current()
    if status is not None and current is not None and status.get("version") != current:
        print(f"version {status.get('version')} still runs, and {current} shall: started again")
        _restart()


def _tell_cut_off(slots: Slots, config_file: Path, failure: str) -> None:
    """Whoever asked for an update waits for its end, also when who installed it was cut off in the middle of it.

    An installer that lives tells it itself.
    """
    try:
        state_dir = load(config_file).station.state_dir
    except ConfigError:
        state_dir = STATE_DIR
    with contextlib.suppress(BundleError), slots.serving():
        exchange = Exchange(state_dir)
        progress = exchange.progress()
        if progress.step is Step.TRIAL and progress.version == slots.current() and slots.trial() is None:
            exchange.say(replace(progress, step=Step.INSTALLED, text=""))
        elif progress.step in (Step.TAKEN, Step.VERIFIED, Step.WAITING, Step.INSTALLING, Step.TRIAL):
            exchange.say(replace(progress, step=Step.FAILED, text=failure))


def _watch(slots: Slots, configured: Callable[[], Config], version: str, seconds: float, settled_s: float) -> int:
    """Confirm the version on trial when it has been well for a while, or go back when it is not `seconds` after the
    switch or the machine's start.

    Who comes second waits for who watches already, and for a program that was killed goes on.
    """
    with slots.watching(seconds + settled_s + RESTART_S):
        trial = slots.trial()
        if trial is None or trial.version != version:
            return _decided(slots, version)
        watched = trial

        def ask() -> tuple[str, float] | None:
            if slots.trial() != watched:
                return None
            try:
                config = configured()
            except ConfigError as error:
                return str(error), 0.0
            status = health.station_status(config.station.run_dir)
            complaint = health.complaint(status, version, bool(config.ocpp.url), watched.was_usable)
            return complaint, health.uptime_s(status)

        left = trial.since_s + seconds - time.monotonic()
        complaint = health.wait_until_settled(ask, left, settled_s)
        if slots.trial() != watched:
            return _decided(slots, version)
        if not complaint:
            slots.confirm()
            print(f"version {version} is well and stays")
            return 0
        complain(f"version {version} is not well, {complaint}: back to {slots.roll_back()}")
        _restart()
        return 1


def _decided(slots: Slots, version: str) -> int:
    """Somebody else has judged the trial, or ordered another version; a version without a trial needs no watching."""
    return 0 if slots.current() == version else 1


def _serve(arguments: argparse.Namespace, config_file: Path) -> int:
    slots = Slots(arguments.root)
    try:
        config = load(config_file)
    except ConfigError as error:
        with slots.serving(SERVE_S):
            _decline(Exchange(STATE_DIR), str(error))
        raise
    exchange = Exchange(config.station.state_dir)
    with slots.serving(SERVE_S):
        request = exchange.take()
        if request is not None:
            return serve_one(slots, config, exchange, request, arguments.trusted)
        exchange.put_away()
    # Started again after it was killed, or by hand: the request is taken, and its end was perhaps not told.
    return _trial(arguments, config_file)


def _decline(exchange: Exchange, why: str) -> None:
    """What nothing can be done about is taken all the same: the unit would be started for it again and again."""
    request = exchange.take()
    if request is not None:
        exchange.put_away()
        exchange.say(Progress(Step.FAILED, why, id=request.id))


def serve_one(slots: Slots, config: Config, exchange: Exchange, request: Request, trusted: Path) -> int:
    """Install what the station asks for, saying each step."""
    try:
        return _serve_one(slots, config, exchange, request, trusted)
    finally:
        exchange.put_away()


def _serve_one(slots: Slots, config: Config, exchange: Exchange, request: Request, trusted: Path) -> int:

    def say(step: Step, text: str = "", version: str = "") -> None:
        exchange.say(Progress(step, text, version, request.id))

    try:
        manifest = bundle.read_manifest(exchange.taken, bundle.trusted(trusted))
        say(Step.VERIFIED, version=manifest.version)
    except BundleError as error:
        say(Step.INVALID, str(error))
        return 1
    try:
        time.sleep(max(0.0, min(request.not_before - time.time(), IDLE_WAIT_S)))
        say(Step.INSTALLING, version=manifest.version)
        version = slots.install(exchange.taken, bundle.trusted(trusted), config.station.serial)
        say(Step.WAITING, "until no car charges", version)
        if not request.at_once and not _wait_until_idle(config):
            raise BundleError("cars charged for a whole day")
    except (BundleError, OSError) as error:
        say(Step.FAILED, str(error), manifest.version)
        return 1
    say(Step.TRIAL, version=version)
    failure = f"version {version} was not well and was taken back"
    try:
        status = _switch_and_watch(slots, config, version, health.TRIAL_S, health.SETTLED_S)
    except (BundleError, OSError) as error:
        status, failure = 1, str(error)
    if status == 0:
        say(Step.INSTALLED, version=version)
    else:
        say(Step.FAILED, failure, version)
    return status


def _errands(arguments: argparse.Namespace, _: Path) -> int:
    """Without the configuration: a wrong one may be why somebody stands there."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # a stick that is written to is let go
    work = {RESTART_ERRAND: _restart, MOUNT: _mount, SAVE: lambda: _save(arguments.run_dir)}
    wrong = Errands(arguments.state_dir).serve(work)
    for text in wrong:
        complain(f"chargepoint update: {text}")
    return 1 if wrong else 0


def _mount() -> list[str]:
    devices = sticks.mount(sticks.plugged(), sticks.run)
    print(f"mounted {', '.join(devices)}")
    return devices


def _save(run_dir: Path) -> list[str]:
    device, *names = saving.save(run_dir, sticks.plugged(), sticks.run)
    print(f"wrote {', '.join(names)} to {device}")
    return [device, *names]


def _wait_until_idle(config: Config) -> bool:
    end = time.monotonic() + IDLE_WAIT_S
    while busy := health.charging(health.station_status(config.station.run_dir)):
        if time.monotonic() >= end:
            return False
        print(f"waiting: a car charges at point {', '.join(map(str, busy))}")
        time.sleep(IDLE_POLL_S)
    return True


def _restart() -> None:
    """Both processes anew from `current`. Raises BundleError when systemd refuses."""
    try:
        subprocess.run(FORGIVE, check=False, timeout=60)
        subprocess.run(RESTART, check=True, timeout=120)
    except (OSError, subprocess.SubprocessError) as error:
        raise BundleError(f"the services could not be restarted: {error}") from error


def _keys(arguments: argparse.Namespace, _: Path) -> int:
    private, public = bundle.make_keys(arguments.folder)
    print(f"{private}: keep it at the office\n{public}: into /etc/chargepoint/trusted-keys of every borne")
    return 0


def _sign(arguments: argparse.Namespace, _: Path) -> int:
    contents: dict[str, bytes | Path] = {
        str(path.relative_to(arguments.folder)): path for path in arguments.folder.rglob("*") if path.is_file()
    }
    if "bin/chargepoint" not in contents:
        raise BundleError(f"{arguments.folder} has no bin/chargepoint; give the folder of one version")
    units = bundle.units_number(arguments.folder)
    manifest = Manifest("update", arguments.borne, arguments.version, bundle.entries(contents), needs_units=units)
    bundle.version_key(arguments.version)
    bundle.write(arguments.out, manifest, contents, bundle.load_private(arguments.key))
    print(f"{arguments.out}: version {arguments.version}, {len(manifest.files)} files")
    return 0
