"""What the configuration says of devices, and what of it cannot be: meters that cannot see what they are to watch,
one serial line for two, external pilot controllers, readers on pins."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chargepoint.config import Config
from chargepoint.config_lines import closest

_MAPS = Path(__file__).parent / "controller" / "maps"
_METER_MAPS = Path(__file__).parent / "meter" / "maps"
SLOWEST_S = 2.0
"""Readings of the points' meters further apart make the borne's own ramps look like the building's (`energy.supply`
bears three seconds and the time of a reading)."""


def controller_models() -> list[str]:
    """Names of the pilot controllers' register maps that the program brings."""
    return sorted(file.stem for file in _MAPS.glob("*.toml"))


def _meter_map(model: str) -> dict[str, Any]:
    """The file of a meter model; empty when there is none, of which another rule complains."""
    file = next((each for each in _METER_MAPS.glob("*.toml") if each.stem == model), None)
    return {} if file is None else tomllib.loads(file.read_text(encoding="utf-8"))


def check_meters(config: Config) -> Iterator[tuple[str, str]]:
    """Every meter sees all that it is there for."""
    for index, evse in enumerate(config.evse):
        phases = _meter_map(evse.meter.model).get("phases", 3) if evse.meter and evse.meter.model else 3
        if phases < evse.phases:
            remedy = "two thirds of the energy would be billed to nobody, name a three-phase meter or write phases = 1"
            yield f"evse[{index}].meter.model", f"measures one phase, but the point has {evse.phases}: {remedy}"
    meter, supply = config.building_meter, config.supply.phases
    if meter is not None and meter.model:
        rows = _meter_map(meter.model).get("registers")
        seen = 3 if rows is None else sum(f"current_l{phase}" in rows for phase in range(1, supply + 1))
        if seen < supply:
            remedy = "what the building draws could not be seen, name a meter that tells the current of every phase"
            yield "building_meter.model", f"tells {seen} currents, but the supply has {supply} phases: {remedy}"
        if supply == 1 and meter.phase_rotation[0] != "R":
            remedy = "its only phase is R, write RST"
            yield (
                "building_meter.phase_rotation",
                f'is "{meter.phase_rotation}", but the supply has one phase: {remedy}',
            )
    follows = meter is not None or (config.tic is not None and config.tic.limits)
    if follows and config.meter_bus.interval > SLOWEST_S and any(evse.meter for evse in config.evse):
        remedy = f"the currents would swing up and down, write at most {SLOWEST_S:g}"
        yield (
            "meter_bus.interval",
            f"is {config.meter_bus.interval:g} s, but the borne follows a meter of the connection: {remedy}",
        )


def check_serial_lines(config: Config) -> Iterator[tuple[str, str]]:
    """A serial line is for one: who comes second would never be able to open it. `check_controllers` has its own."""
    building = config.building_meter
    own_line = building is not None and building.transport == "rtu" and bool(building.device)
    shared = building is not None and building.transport == "rtu" and not building.device
    users: list[tuple[str, str]] = []
    if shared or any(evse.meter for evse in config.evse):
        users.append(("meter_bus.port", config.meter_port()))
    if own_line and building is not None:
        users.append(("building_meter.device", building.device))
    readers = [(index, reader) for index, reader in enumerate(config.reader) if reader.kind != "wiegand"]
    users += [(f"reader[{index}].port", config.reader_port(reader)) for index, reader in readers]
    if config.tic is not None:
        users.append(("tic.port", config.tic_port()))
    controllers = {evse.controller.device for evse in config.evse if evse.controller is not None}
    taken: dict[str, str] = dict.fromkeys(controllers - {"", config.meter_port()}, "a pilot controller")
    for path, device in users:
        if device in taken:
            yield path, f'is "{device}", the line of {taken[device]}: name another, two cannot open it'
        taken.setdefault(device, path)


def check_controllers(config: Config) -> Iterator[tuple[str, str]]:
    """External pilot controllers: all points have one, or none has."""
    units: dict[tuple[str, int, int | None], int] = {}
    speeds: dict[str, tuple[int, str]] = {}
    for index, evse in enumerate(config.evse):
        path, section = f"evse[{index}].controller", evse.controller
        if section is None:
            if config.external_pilots:
                yield path, 'is missing: board.kind is "modbus-pilot", so every point names the controller of its pilot'
            continue
        if not config.external_pilots:
            yield (
                path,
                f'names a pilot controller, but board.kind is "{config.board.kind}": write kind = "modbus-pilot"',
            )
        if section.model not in controller_models():
            models = controller_models()
            remedy = closest(section.model, models) or f"; known are {', '.join(models)}"
            yield f"{path}.model", f'is "{section.model}", which has no register map{remedy}'
        if bool(section.host) == bool(section.device):
            yield path, "must name either a host (Modbus TCP) or a device (serial line), not both and not none"
        if evse.domestic is not None:
            yield f"evse[{index}].domestic", "has no pins here: an external pilot controller has one socket, Type 2"
        if section.device and section.device == config.meter_port():
            remedy = "two programs cannot share it, give the controllers a line of their own"
            yield f"{path}.device", f'is "{section.device}", the line of the meters: {remedy}'
        key = (section.device or section.host, 0 if section.device else section.port, section.unit)
        if key in units:
            yield f"{path}.unit", f"is that of evse[{units[key]}] on the same line: every controller needs its own"
        units.setdefault(key, index)
        speed = (section.baudrate, section.parity)
        if section.device and speeds.setdefault(section.device, speed) != speed:
            yield f"{path}.baudrate", f"or parity differs from that of another point on {section.device}"


def check_buzzer(config: Config) -> Iterator[tuple[str, str]]:
    """It hangs on a pin, and with external pilot controllers nobody drives one."""
    if config.buzzer.enabled and config.external_pilots:
        yield "buzzer.enabled", 'is true, but with board.kind = "modbus-pilot" no pin is driven: write false'


def check_wiegand(config: Config) -> Iterator[tuple[str, str]]:
    """Its two lines are pins: there is one pair, and the simulated borne has nobody at the other end."""
    wiegand = [index for index, reader in enumerate(config.reader) if reader.kind == "wiegand"]
    for index in wiegand:
        if config.simulated:
            remedy = "name a serial reader, like pn532"
            yield f"reader[{index}].kind", f'is "wiegand", which the simulated borne does not have: {remedy}'
        if config.reader[index].port:
            remedy = "its lines are wiegand_zero and wiegand_one of [board.pins]"
            yield f"reader[{index}].port", f'is "{config.reader[index].port}", but a Wiegand reader has none: {remedy}'
    for index in wiegand[1:]:
        remedy = "the pin map has lines for one"
        yield f"reader[{index}].kind", f'is "wiegand", like that of reader[{wiegand[0]}]: {remedy}'
