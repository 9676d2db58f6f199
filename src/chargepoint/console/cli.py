"""The command line: `chargepoint COMMAND [-c FILE]`.

Each command imports what it needs when it runs: the safety process must have its pilots under control within half a
second of its start, and starts through here.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from chargepoint import __version__, urgency
from chargepoint.config import DEFAULT_PATH, Config

OK, FAILED, WRONG_USE = 0, 1, 2
"""Exit status: done; failed; wrong arguments or configuration."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Answers the exit status; Ctrl-C is a clean end of a command that waits."""
    parser = _parser()
    arguments, words = parser.parse_known_args(argv)
    if words and not hasattr(arguments, "words"):
        parser.error(f"unrecognized arguments: {' '.join(words)}")
    arguments.words = words
    command: Callable[[argparse.Namespace], int] = arguments.command
    try:
        return command(arguments)
    except KeyboardInterrupt:
        return 128 + 2  # as a shell reports a program ended by SIGINT
    except BrokenPipeError:
        # The reader of a pipe has gone: nothing more can be said there, the flush at exit included.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="chargepoint", description="Controller software of a charging station.")
    parser.add_argument("--version", action="version", version=f"chargepoint {__version__}")
    _add_config(parser, default=DEFAULT_PATH)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, function: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        # Suppressed, so that `-c FILE` before the command is not overwritten by this one's default.
        _add_config(sub, default=argparse.SUPPRESS)
        sub.set_defaults(command=function)
        return sub

    def add_own(name: str, function: Callable[[argparse.Namespace], int], text: str) -> None:
        """A command that reads its words by itself, when it runs."""
        sub = commands.add_parser(name, help=text, add_help=False, allow_abbrev=False)
        _add_config(sub, default=argparse.SUPPRESS)
        sub.set_defaults(command=function, words=[])

    add("run", _run, "run the whole borne in this terminal, with the simulator when the board is simulated")
    add("evse", _evse, "run the safety process alone")
    add("station", _station, "run the business process alone")
    add_own("sim", _sim, "`sim serve` runs the simulated borne; `sim ACTION ...` does one action on the running one")
    add("check", _check, "read the configuration and print every mistake in it")
    status = add("status", _status, "show every point, who limits it, faults, backend, queue and clock")
    status.add_argument("--json", action="store_true", help="as JSON, for programs")
    why = add("why", _why, "say in one sentence why a point is, or is not, charging")
    why.add_argument("place", type=_place, metavar="EVSE", help="number of the point, or 1.2 for its connector 2")
    why.add_argument("--connector", type=int, metavar="N", help="1: Type 2, 2: domestic; without: the one in use")
    why.add_argument("--lang", choices=("en", "fr"), help="language, when not the configured one")
    add("console", _console, "open the technician's console on this terminal")
    add_own("meters", _meters, "`meters scan [FROM-TO]` looks for meters on the bus, with the station stopped")
    add_own("provision", _elsewhere("chargepoint.provision.command"), "make the configuration bundles of a fleet")
    add_own("update", _elsewhere("chargepoint.update.command"), "install a signed update, or go back")
    demo = add("demo", _demo, "show one whole charge of two cars on a simulated borne of its own")
    demo.add_argument("--svg", type=Path, metavar="FILE", help="where to write the picture of the session")
    return parser


def _place(text: str) -> tuple[int, int | None]:
    """A point, and its connector where one is named: `1`, `1.2`."""
    evse, dot, connector = text.partition(".")
    if not (evse.isdecimal() and (connector.isdecimal() or not dot)):
        raise argparse.ArgumentTypeError(f"{text!r} is no point, like 1, and no connector of one, like 1.2")
    return int(evse), int(connector) if dot else None


def _add_config(parser: argparse.ArgumentParser, default: object) -> None:
    parser.add_argument(
        "-c",
        "--config",
        type=Path,
        metavar="FILE",
        default=default,
        help=f"configuration file (default {DEFAULT_PATH})",
    )


def complain(text: str) -> None:
    """Tell an error where it does not disturb what a program reads."""
    urgency.complain(f"chargepoint: {text}")


def _load(arguments: argparse.Namespace) -> Config | None:
    """The configuration, or None once its mistakes have been printed."""
    from chargepoint.config_check import ConfigError, load
    from chargepoint.config_lines import written_language

    try:
        return load(arguments.config)
    except ConfigError as error:
        complain(error.said(written_language(arguments.config)))
        return None


def _with_config(run: Callable[[Config, argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """A command that needs the configuration; wrong use when there is none."""

    def command(arguments: argparse.Namespace) -> int:
        config = _load(arguments)
        return WRONG_USE if config is None else run(config, arguments)

    return command


@_with_config
def _run(config: Config, arguments: argparse.Namespace) -> int:
    from chargepoint.processes import supervisor

    return supervisor.main(config, arguments.config)


@_with_config
def _evse(config: Config, arguments: argparse.Namespace) -> int:
    if config.external_pilots:
        from chargepoint import logs
        from chargepoint.processes import pilot_controllers

        logs.configure("evse", config.station.run_dir, config.log.level)
        return pilot_controllers.main(config)
    from chargepoint.processes import evse

    return evse.main(config)


@_with_config
def _station(config: Config, arguments: argparse.Namespace) -> int:
    from chargepoint import logs
    from chargepoint.config_check import missing_files
    from chargepoint.config_lines import written_language
    from chargepoint.processes import guarded

    logs.configure("station", config.station.run_dir, config.log.level)
    for mistake in missing_files(config):
        complain(mistake.said(written_language(arguments.config)))
    return guarded.main(config)


def _sim(arguments: argparse.Namespace) -> int:
    words: list[str] = arguments.words
    config = _load(arguments)
    if config is None:
        return WRONG_USE
    if words == ["serve"]:
        return _serve(config)
    from chargepoint.console import sim

    return sim.act(config, words)


def _serve(config: Config) -> int:
    import asyncio

    from chargepoint.board.pins import PinError
    from chargepoint.jsonrpc import SocketBusy
    from chargepoint.sim.serve import serve

    try:
        return asyncio.run(serve(config))
    except PinError as error:
        complain(f"sim: {error}")
        return WRONG_USE
    except (SocketBusy, OSError) as error:
        complain(f"sim: {error}")
        return FAILED


@_with_config
def _meters(config: Config, arguments: argparse.Namespace) -> int:
    words: list[str] = arguments.words
    if words[:1] != ["scan"] or len(words) > 2:
        complain("meters scan [FROM-TO], like meters scan 1-32")
        return WRONG_USE
    from chargepoint.console import busscan

    try:
        units = busscan.units(words[1] if len(words) > 1 else "1-32")
    except ValueError as error:
        complain(str(error))
        return WRONG_USE
    try:
        print("\n".join(busscan.scan(config, units)) or "nothing answers")
    except OSError as error:
        complain(f"{config.meter_port()} cannot be used: {error}")
        return FAILED
    return OK


def _elsewhere(module: str) -> Callable[[argparse.Namespace], int]:
    """A command whose room has a command line of its own: `main(words, config_file) -> exit status` of the module."""

    def command(arguments: argparse.Namespace) -> int:
        status: int = importlib.import_module(module).main(arguments.words, arguments.config)
        return status

    return command


def _check(arguments: argparse.Namespace) -> int:
    from chargepoint.console import check

    return check.run(arguments.config)


@_with_config
def _status(config: Config, arguments: argparse.Namespace) -> int:
    from chargepoint.console import status

    return status.run(config, as_json=arguments.json)


@_with_config
def _why(config: Config, arguments: argparse.Namespace) -> int:
    from chargepoint.console import status

    evse, named = arguments.place
    connector = arguments.connector if named is None else named
    return status.why(config, evse, arguments.lang or config.station.language, connector)


@_with_config
def _console(config: Config, arguments: argparse.Namespace) -> int:
    from chargepoint.console import console

    return console.run(config, arguments.config)


def _demo(arguments: argparse.Namespace) -> int:
    from chargepoint.console import demo

    return demo.run(arguments.svg)


if __name__ == "__main__":
    sys.exit(main())
