"""The command line's side of the simulated borne's socket: `chargepoint sim plug 1 --cable 32`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chargepoint import jsonrpc

SOCKET_NAME = "sim.sock"

_POSITIONAL: dict[str, tuple[str, ...]] = {
    "plug": ("evse",),
    "unplug": ("evse", "side"),
    "ev": ("evse",),
    "badge": ("uid", "reader"),
    "fault": ("name", "evse", "on"),
    "faults": (),
    "show": (),
    "set_energy": ("evse", "wh"),
    "speed": ("factor",),
    "wait": ("evse",),
    "domestic": ("evse", "plugged"),
    "bay": ("evse", "occupied"),
    "building": ("current",),
}
_NUMBERS = {
    "evse",
    "cable",
    "max_current",
    "phases",
    "reader",
    "wh",
    "factor",
    "timeout",
    "subscribed_kva",
    "connector",
    "load",
}
_BOOLEANS = {"wants_energy", "diode", "ventilation", "force", "on", "contactor", "plugged", "occupied"}
_TRUE, _FALSE = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}


class UsageError(Exception):
    """The words make no request; the message says why."""


def request(words: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Method and parameters from the words of a command line. Raises `UsageError`.

    `--name value`, `--name=value`, and for booleans also `--name` and `--no-name`.
    """
    if not words:
        raise UsageError(f"say what to do: {', '.join(_POSITIONAL)}")
    method = words[0].replace("-", "_")
    if method not in _POSITIONAL:
        raise UsageError(f"there is no action {words[0]!r}; there are {', '.join(_POSITIONAL)}")
    names = list(_POSITIONAL[method])
    params: dict[str, Any] = {}
    rest = list(words[1:])
    while rest:
        word = rest.pop(0)
        if word.startswith("--"):
            name, equals, text = word[2:].partition("=")
            name = name.replace("-", "_")
            if not equals and name.removeprefix("no_") in _BOOLEANS and not _is_boolean(rest[:1]):
                params[name.removeprefix("no_")] = not name.startswith("no_")
                continue
            if not equals and not rest:
                raise UsageError(f"{word} needs a value")
            params[name] = _value(name, text if equals else rest.pop(0))
        elif names:
            name = names.pop(0)
            params[name] = _value(name, word)
        else:
            raise UsageError(f"{word!r} is one word too many for {words[0]}")
    return method, params


def call(run_dir: Path, method: str, params: dict[str, Any]) -> Any:
    """The method's result. Raises `jsonrpc.RpcError`, or `OSError` when no simulated borne runs there."""
    timeout_s = float(params.get("timeout", 30.0)) + 5.0
    return jsonrpc.call(run_dir / SOCKET_NAME, method, timeout_s=timeout_s, **params)


def _is_boolean(words: Sequence[str]) -> bool:
    return bool(words) and words[0].lower() in _TRUE | _FALSE


def _value(name: str, text: str) -> Any:
    if name in _BOOLEANS:
        if text.lower() not in _TRUE | _FALSE:
            raise UsageError(f"{name} is {text!r}; write true or false")
        return text.lower() in _TRUE
    if name == "current" and "," in text:
        return [_number(name, part) for part in text.split(",")]
    return _number(name, text) if name in _NUMBERS | {"current"} else text


def _number(name: str, text: str) -> int | float:
    try:
        number = float(text)
    except ValueError as error:
        raise UsageError(f"{name} is {text!r}; it must be a number") from error
    return int(number) if number.is_integer() else number
