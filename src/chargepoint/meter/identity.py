"""Which model answers? Meter codes compared over all maps. Pure."""

from dataclasses import dataclass

from chargepoint.meter import maps
from chargepoint.meter.maps import Identity, RegisterMap
from chargepoint.meter.reading import Reading
from chargepoint.meter.registers import decode

LEAST_SUPPLY_V = 80.0
"""A meter that answers is fed: by the lowest supply the configuration knows (100 V), less a fifth."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a code says about the configured model."""

    usable: bool
    """False: the registers of this meter stand elsewhere, and reading it with this map would bill nonsense."""
    text: str
    """What to tell a technician; empty when the code is the expected one."""


FITS = Verdict(True, "")


def code(identity: Identity, words: list[int]) -> int | None:
    """The code in the answer to an identity probe."""
    value = decode(words, identity.type)
    return None if value is None else int(value)


def judge(regmap: RegisterMap, found: int) -> Verdict:
    """Compare the code a meter gave with the configured model's."""
    own = regmap.identity
    if own is None or not own.values or found in own.values:
        return FITS
    for other in _with_probe(own):
        if other.identity and found in other.identity.values:
            said = f"the meter says it is a {other.title} (code 0x{found:04X}), configured is {regmap.model}"
            remedy = f'; write model = "{other.model}"'
            return Verdict(other.registers == regmap.registers, said + remedy)
    return Verdict(True, f"the meter gives code 0x{found:04X}, which no map of its kind knows; used as {regmap.model}")


def without_supply(regmap: RegisterMap, reading: Reading) -> str:
    """What is wrong when no phase has a voltage that could feed the meter itself; empty when one has."""
    volts = [volt for volt in reading.voltage_v if volt is not None]
    if not volts or max(volts) >= LEAST_SUPPLY_V:
        return ""
    read = ", ".join(f"{volt:g} V" for volt in volts)
    return f'it answers, but its voltages read {read}: is model = "{regmap.model}" right?'


def _with_probe(probe: Identity) -> list[RegisterMap]:
    """Maps that are asked at the same place."""

    def place(identity: Identity) -> tuple[int, int, str]:
        return (identity.function, identity.address, identity.type)

    loaded = [maps.load(name) for name in maps.names()]
    return [m for m in loaded if m.identity is not None and place(m.identity) == place(probe)]
