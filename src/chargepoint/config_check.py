"""Turns the TOML file into `config.Config`, or names every mistake in it at once.

`msgspec` stops at the first mistake; a technician in front of a borne wants all of them. So the tree is walked
here, field by field, and `msgspec.convert` judges each value alone. Every mistake carries its key path, its line
where the text shows one, the value, and what to write instead.

Only `tomllib` and `msgspec` are imported: the safety process reads its configuration through here too, in its
first half second. `load` opens nothing but the configuration file itself; `missing_files` looks at the files that it
names, and is for the process that will read them.
"""

import os
import re
import tomllib
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin

import msgspec

from chargepoint.config import LAMP_PATTERN, TONE_PATTERN, Config, EvseSection
from chargepoint.config_hardware import (
    check_buzzer,
    check_controllers,
    check_meters,
    check_serial_lines,
    check_wiegand,
)
from chargepoint.config_lines import closest, key_lines

MIN_CURRENT_A = 6.0
"""Least current a pilot can offer (IEC 61851-1, Annex A, Table A.8): a smaller supply could never charge a car."""

S = TypeVar("S", bound=msgspec.Struct)

_PACKAGE = Path(__file__).parent
_LABEL = r"[^\s/?#@:\[\].]{1,63}"
_URL = re.compile(rf"wss?://([^\s/?#@]+@)?(\[[0-9A-Fa-f:.]+\]|{_LABEL}(\.{_LABEL})*\.?)(:\d{{1,5}})?([/?]\S*)?")
_SOCKET_PATH_MAX = 107
"""Bytes in the path of a Unix socket (Linux, `sun_path` less its terminator)."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong in the file."""

    path: str
    """Key path, `evse[1].max_current`; array entries are counted from 0, as in JSON paths."""
    text: str
    """What is wrong and what to write instead."""
    line: int | None = None

    def said(self, lang: str) -> str:
        """As `str`, in English (`en`) or French (`fr`)."""
        if lang != "fr":
            return str(self)
        from chargepoint.config_french import translate  # only needed once something is wrong

        where = f"ligne {self.line} : " if self.line else ""
        text = translate(self.text, lang)
        return f"{where}{self.path} : {text}" if self.path else f"{where}{text}"

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line else ""
        return f"{where}{self.path}: {self.text}" if self.path else f"{where}{self.text}"


class ConfigError(Exception):
    """The configuration cannot be used. `mistakes` has them all."""

    def __init__(self, file: Path, mistakes: list[Mistake]) -> None:
        count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        super().__init__("\n".join([f"{file}: {count}", *(f"  {mistake}" for mistake in mistakes)]))
        self.file = file
        self.mistakes = mistakes

    def said(self, lang: str) -> str:
        """As `str`, in English (`en`) or French (`fr`)."""
        if lang != "fr":
            return str(self)
        count = "1 erreur" if len(self.mistakes) == 1 else f"{len(self.mistakes)} erreurs"
        return "\n".join([f"{self.file} : {count}", *(f"  {mistake.said(lang)}" for mistake in self.mistakes)])


@dataclass(slots=True)
class _Findings:
    lines: Mapping[str, int]
    mistakes: list[Mistake] = field(default_factory=list)

    def add(self, path: str, text: str) -> None:
        self.mistakes.append(Mistake(path, text, self._line(path)))

    def _line(self, path: str) -> int | None:
        """The line of the key, or of the nearest table around it."""
        while path:
            if path in self.lines:
                return self.lines[path]
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return None


def load(path: Path) -> Config:
    """Read and check the file.

    Raises:
        ConfigError: it cannot be read, is not TOML, or says something that cannot be; all mistakes at once.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(path, [Mistake("", "there is no such file; name another with -c FILE")]) from None
    except OSError as error:
        raise ConfigError(path, [Mistake("", f"cannot be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise ConfigError(path, [Mistake("", f"is not UTF-8 text (byte {error.start})")]) from error
    try:
        return parse(text)
    except ConfigError as error:
        raise ConfigError(path, error.mistakes) from None


def parse(text: str) -> Config:
    """`load`, of a text that is already in memory."""
    nowhere = Path("configuration")
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(nowhere, [Mistake("", f"is not TOML: {error}")]) from error
    found = _Findings(key_lines(text))
    config = _read_struct(Config, data, "", found)
    _check_together(config, found)
    if found.mistakes:
        found.mistakes.sort(key=lambda mistake: mistake.line or 0)
        raise ConfigError(nowhere, found.mistakes)
    return config


def missing_files(config: Config) -> list[Mistake]:
    """The files that the configuration names and this process cannot read, those that its security profile needs."""
    ocpp = config.ocpp
    if not ocpp.url:
        return []
    wanted = {
        "password_file": ocpp.security_profile in (1, 2),
        "csms_ca_file": ocpp.security_profile in (2, 3),
        "client_certificate_file": ocpp.security_profile == 3,
        "client_key_file": ocpp.security_profile == 3,
        "firmware_crl_file": True,
    }
    mistakes = []
    for key, needed in wanted.items():
        file: Path | None = getattr(ocpp, key)
        if file is None or not needed:
            continue
        try:
            with file.open("rb"):
                pass
        except OSError as error:
            remedy = f"{file} cannot be read ({error.strerror}): create it, readable by this user, or name another"
            mistakes.append(Mistake(f"ocpp.{key}", remedy))
    return mistakes


def meter_models() -> list[str]:
    """Names of the register maps that the program brings."""
    return sorted(file.stem for file in (_PACKAGE / "meter" / "maps").glob("*.toml"))


def allowed(kind: Any) -> str:
    """What a field's type allows, in words."""
    return _words(kind, None)


# --- one value at a time -------------------------------------------------------------------------------------------


def _decode(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, str) and value:
        return Path(value)
    raise NotImplementedError(f"no conversion to {kind}")


_WRONG = object()
"""The value of a key in which a mistake has been found."""


def _read_struct(kind: type[S], data: Any, path: str, found: _Findings) -> S:
    """The section, with stand-ins where there are mistakes, so that the rest can still be compared."""
    if not isinstance(data, dict):
        found.add(path, f"is {_shown(data)}, but must be a table: write [{path}] and its keys below")
        data = {entry.encode_name: _WRONG for entry in msgspec.structs.fields(kind)}
    fields = {entry.encode_name: entry for entry in msgspec.structs.fields(kind)}
    for name in data:
        if name not in fields:
            what = "table" if isinstance(data[name], dict | list) else "key"
            found.add(_join(path, name), f"unknown {what}{closest(name, list(fields)) or '; remove it'}")
    values = {}
    for name, entry in fields.items():
        value = _WRONG
        if name in data and data[name] is not _WRONG:
            value = _read_value(entry.type, data[name], _join(path, name), found)
        elif name not in data and entry.required:
            found.add(_join(path, name), f"is missing: add {_example(entry.type, name)}")
        if value is not _WRONG:
            values[name] = value
        elif entry.required:
            values[name] = _stand_in(entry.type, name, len(found.mistakes))
    return kind(**values)


def _read_value(kind: Any, value: Any, path: str, found: _Findings) -> Any:
    struct, several = section_of(kind)
    if struct is not None and not several:
        return _read_struct(struct, value, path, found)
    if struct is not None:
        if not isinstance(value, list):
            found.add(path, f"must be an array of tables: write [[{path}]]")
            return _WRONG
        if path == "evse" and not 1 <= len(value) <= 16:
            found.add(path, f"has {len(value)} points, but must have 1 to 16")
        return tuple(_read_struct(struct, item, f"{path}[{index}]", found) for index, item in enumerate(value))
    try:
        return msgspec.convert(value, kind, dec_hook=_decode)
    except (msgspec.ValidationError, NotImplementedError):
        found.add(path, f"is {_shown(value)}, but must be {_words(kind, value)}")
        return _WRONG


def _stand_in(kind: Any, name: str, unique: int) -> Any:
    """A value for a required key without a good one, such that no comparison with others complains about it."""
    struct, several = section_of(kind)
    if struct is not None:
        nobody = _Findings({})
        return () if several else _read_struct(struct, {}, "", nobody)
    return {"id": -unique, "unit": -unique, "kind": "simulated", "model": None}.get(name, MIN_CURRENT_A)


def section_of(kind: Any) -> tuple[type[msgspec.Struct] | None, bool]:
    """The section behind a field's type, and whether it is an array of them."""
    if hasattr(kind, "__metadata__"):
        return section_of(kind.__origin__)
    if get_origin(kind) in (Union, types.UnionType):
        for option in get_args(kind):
            if option is not type(None):
                return section_of(option)
    if get_origin(kind) is tuple:
        return section_of(get_args(kind)[0])[0], True
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind, False
    return None, False


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _shown(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return f'"{value[:60]}"'
        case dict():
            return "a table"
        case list():
            return "an array"
        case _:
            return str(value)


def _words(kind: Any, value: Any) -> str:
    """What a type allows, in words, with the nearest choice to what stands there."""
    from msgspec import inspect  # only needed once something is wrong

    return _type_words(inspect.type_info(kind), value)


def _type_words(kind: Any, value: Any) -> str:
    from msgspec import inspect

    match kind:
        case inspect.LiteralType(values=values):
            choices = [_shown(choice) for choice in values]
            near = closest(value, [str(choice) for choice in values]) if isinstance(value, str) else ""
            return " or ".join([", ".join(choices[:-1]), choices[-1]] if len(choices) > 1 else choices) + near
        case inspect.BoolType():
            return "true or false (without quotes)"
        case inspect.IntType() as number:
            return "a whole number" + _range(number.ge, number.gt, number.le)
        case inspect.FloatType() as number:
            return (
                "a number"
                + _range(number.ge, number.gt, number.le)
                + (" (without quotes)" if isinstance(value, str) else "")
            )
        case inspect.StrType(pattern=pattern) if pattern == LAMP_PATTERN:
            return 'a colour, then milliseconds lit and dark: "red 500 500"'
        case inspect.StrType(pattern=pattern) if pattern == TONE_PATTERN:
            return 'milliseconds sounding, silent, sounding, at most 999 each: "80 80 80"; or "" for silence'
        case inspect.StrType(min_length=low, max_length=high):
            if isinstance(value, str) or low or high:
                return f"a text of {low or 0} to {high} characters, in quotes" if high else "a text that is not empty"
            return "a text in quotes"
        case inspect.CustomType():
            return "a path, in quotes"
        case inspect.UnionType(types=options):  # something, or None: the latter cannot be written in TOML
            return _type_words(options[0], value)
        case inspect.DictType():
            return "a table"
        case inspect.VarTupleType(item_type=inspect.IntType()):
            return "an array of whole numbers, like [1, 2]"
        case inspect.VarTupleType():
            return 'an array of texts, like ["a", "b"]'
        case other:
            return str(other)


def _range(ge: float | None, gt: float | None, le: float | None) -> str:
    if gt is not None:
        return f" above {gt:g}" + (f", at most {le:g}" if le is not None else "")
    low = f" from {ge:g}" if ge is not None else ""
    return low + (f" to {le:g}" if le is not None else "")


def _example(kind: Any, name: str) -> str:
    struct, several = section_of(kind)
    if struct is not None:
        return f"a table [[{name}]]" if several else f"the table [{name}]"
    return f"{name} = ... ({_words(kind, None)})"


# --- values that must fit each other -------------------------------------------------------------------------------


def _check_together(config: Config, found: _Findings) -> None:
    wrong = {mistake.path for mistake in found.mistakes}
    rules = (
        _check_station, _check_points, check_controllers, check_meters, check_serial_lines, _check_devices,
        _check_tariffs, _check_lamps, check_buzzer, _check_backend,
    )  # fmt: skip
    for rule in rules:
        for path, text in rule(config):
            if path not in wrong:
                found.add(path, text)


def _check_station(config: Config) -> Iterator[tuple[str, str]]:
    longest = len(os.fsencode(config.station.run_dir / "station.sock"))
    if longest > _SOCKET_PATH_MAX:
        yield (
            "station.run_dir",
            f"is {longest - _SOCKET_PATH_MAX} bytes too long for the sockets in it: use a shorter path",
        )
    if config.supply.max_current < MIN_CURRENT_A:
        yield (
            "supply.max_current",
            f"is {config.supply.max_current:g} A, but no car can charge with less than {MIN_CURRENT_A:g} A",
        )


def _check_points(config: Config) -> Iterator[tuple[str, str]]:
    ids: dict[int, int] = {}
    units: dict[int, int] = {}
    for index, evse in enumerate(config.evse):
        path = f"evse[{index}]"
        if evse.id in ids:
            yield f"{path}.id", f"is {evse.id}, like evse[{ids[evse.id]}]: every point needs its own"
        ids.setdefault(evse.id, index)
        yield from _check_phases(config.supply.phases, evse, path)
        if evse.meter is None:
            continue
        if evse.meter.unit in units:
            other = units[evse.meter.unit]
            yield (
                f"{path}.meter.unit",
                f"is {evse.meter.unit}, like that of evse[{other}]: every meter on the bus needs its own",
            )
        units.setdefault(evse.meter.unit, index)
        yield from _unknown_model(f"{path}.meter.model", evse.meter.model)


def _unknown_model(path: str, model: str | None) -> Iterator[tuple[str, str]]:
    models = meter_models()
    if model is not None and model not in models:  # None stands in for a model that is missing
        remedy = closest(model, models) or f"; known are {', '.join(models)}"
        yield path, f'is "{model}", which has no register map{remedy}'


def _check_phases(supply: int, evse: EvseSection, path: str) -> Iterator[tuple[str, str]]:
    if evse.phases > supply:
        yield f"{path}.phases", f"is {evse.phases}, but the supply has {supply}: write phases = {supply}"
    if evse.phases == 3 and len(evse.phase_rotation) == 1:
        remedy = "name all three, like RST, or write phases = 1"
        yield f"{path}.phase_rotation", f'is "{evse.phase_rotation}", but the point has three phases: {remedy}'
    if supply == 1 and evse.phase_rotation[0] != "R":
        remedy = "its only phase is R"
        yield f"{path}.phase_rotation", f'is "{evse.phase_rotation}", but the supply has one phase: {remedy}'
    behind = evse.phase_rotation[: evse.phases]
    if evse.domestic is not None and evse.domestic.phase not in behind:
        remedy = f"write one of {', '.join(behind)}"
        yield (
            f"{path}.domestic.phase",
            f'is "{evse.domestic.phase}", which is not behind the meter of this point: {remedy}',
        )


def _check_devices(config: Config) -> Iterator[tuple[str, str]]:
    points = {evse.id for evse in config.evse}
    readers: set[int] = set()
    for index, reader in enumerate(config.reader):
        path = f"reader[{index}]"
        if reader.id in readers:
            yield f"{path}.id", f"is {reader.id} twice: every reader needs its own"
        readers.add(reader.id)
        yield from _unknown_points(f"{path}.evses", reader.evses, points)
    yield from check_wiegand(config)
    yield from _check_building_meter(config)
    yield from _unknown_points("authorisation.free_vend_evses", config.authorisation.free_vend_evses, points)


def _check_building_meter(config: Config) -> Iterator[tuple[str, str]]:
    meter = config.building_meter
    if meter is None:
        return
    yield from _unknown_model("building_meter.model", meter.model)
    if meter.transport == "tcp":
        if not meter.host:
            yield "building_meter.host", 'is missing: transport = "tcp" needs the name or address of the meter'
    elif not meter.device:
        for index, evse in enumerate(config.evse):
            if evse.meter and evse.meter.unit == meter.unit:
                remedy = "every meter on the bus needs its own"
                yield "building_meter.unit", f"is {meter.unit}, like that of evse[{index}]: {remedy}"


def _check_tariffs(config: Config) -> Iterator[tuple[str, str]]:
    """What is heard from the Linky needs its output to be read."""
    points = {evse.id for evse in config.evse}
    names: dict[str, int] = {}
    for index, signal in enumerate(config.grid_signal):
        path = f"grid_signal[{index}]"
        yield from _unknown_points(f"{path}.evses", signal.evses, points)
        if signal.name in names:
            yield f"{path}.name", f'is "{signal.name}", like that of grid_signal[{names[signal.name]}]: use another'
        names.setdefault(signal.name, index)
        if config.tic is None and not str(signal.source).startswith("input-"):
            yield f"{path}.source", f'is "{signal.source}", but the borne listens to no Linky: add the table [tic]'
        if config.external_pilots and str(signal.source).startswith("input-"):
            yield f"{path}.source", f'is "{signal.source}", a line of the carrier board, and board.kind has none'
    if config.sharing.off_peak and config.tic is None:
        yield "sharing.off_peak", "names tariffs, but the borne listens to no Linky: add the table [tic]"


def _unknown_points(path: str, named: tuple[int, ...], points: set[int]) -> Iterator[tuple[str, str]]:
    for evse in named:
        if evse not in points:
            yield path, f"names point {evse}, but the points are {', '.join(map(str, sorted(points)))}"


def _check_lamps(config: Config) -> Iterator[tuple[str, str]]:
    """Who cannot tell red from green tells rhythms apart: no two situations may share one."""
    seen: dict[str, str] = {}
    for entry in msgspec.structs.fields(config.lamps):
        row = getattr(config.lamps, entry.name)
        if row is None:
            continue
        rhythm = row.partition(" ")[2]
        if rhythm in seen:
            yield (
                f"lamps.{entry.name}",
                f"has the rhythm of lamps.{seen[rhythm]} ({rhythm or 'always lit'}): colour alone is not enough, "
                "give it another",
            )
        seen.setdefault(rhythm, entry.name)


def _check_backend(config: Config) -> Iterator[tuple[str, str]]:
    ocpp = config.ocpp
    if ocpp.version != "1.6":
        yield "ocpp.version", f'is "{ocpp.version}", which this release does not speak yet: write "1.6"'
    if not ocpp.url:
        return
    profile = ocpp.security_profile
    if not ocpp.url.startswith(("ws://", "wss://")):
        yield "ocpp.url", f'is "{ocpp.url}", but must begin with ws:// or wss://'
    elif not _URL.fullmatch(ocpp.url):
        yield "ocpp.url", f'is "{ocpp.url}", which names no host: write it like wss://central.system/ocpp'
    elif profile >= 2 and not ocpp.url.startswith("wss://"):
        yield "ocpp.url", f'is "{ocpp.url}", but security profile {profile} is TLS: write wss://'
    if profile == 0 and not (config.simulated or ocpp.allow_insecure):
        yield (
            "ocpp.security_profile",
            "is 0, which has neither encryption nor a password: use 1, 2 or 3, or write allow_insecure = true",
        )
    if profile in (1, 2) and ocpp.password_file is None and "AuthorizationKey" not in ocpp.configuration:
        yield "ocpp.password_file", f"is missing: security profile {profile} sends a password"
    if profile == 3:
        for key in ("client_certificate_file", "client_key_file"):
            if getattr(ocpp, key) is None:
                yield f"ocpp.{key}", "is missing: security profile 3 shows a client certificate"
