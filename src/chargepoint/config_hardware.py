"""What the configuration says of external pilot controllers and of readers on pins, and what of it cannot be."""

from collections.abc import Iterator
from pathlib import Path

from chargepoint.config import Config
from chargepoint.config_lines import closest

_MAPS = Path(__file__).parent / "controller" / "maps"


def controller_models() -> list[str]:
    """Names of the pilot controllers' register maps that the program brings."""
    return sorted(file.stem for file in _MAPS.glob("*.toml"))


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
