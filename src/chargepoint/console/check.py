"""`chargepoint check`: every mistake of the configuration, and what is only worth a look."""

import sys
from collections.abc import Iterator
from pathlib import Path

from chargepoint.config import Config
from chargepoint.config_check import ConfigError, Mistake, load, missing_files
from chargepoint.config_french import translate
from chargepoint.config_lines import closest, written_language
from chargepoint.journal.durable import fleeting_here


def run(path: Path) -> int:
    """Print what is wrong. Exit status 2 when something is, 0 when the file can be used."""
    lang = written_language(path)
    try:
        config = load(path)
        wrong = missing_files(config) + beyond_the_file(config)
        if wrong:
            raise ConfigError(path, wrong)
    except ConfigError as error:
        print(error.said(lang), file=sys.stderr)
        return 2
    for warning in warnings(config):
        print(f"{'avertissement : ' if lang == 'fr' else 'warning: '}{warning.said(lang)}")
    print(translate(f"{path}: {len(config.evse)} points, no mistakes", lang))
    return 0


def beyond_the_file(config: Config) -> list[Mistake]:
    """What only shows beside the rest of the program: pins, and values of OCPP keys."""
    return _pins(config) + list(_ocpp_values(config))


def _pins(config: Config) -> list[Mistake]:
    """Every mistake in the pin map and its overrides: the simulated borne has the same lines."""
    from chargepoint.board.pins import PinError, load_pins

    try:
        load_pins(config)
    except PinError as error:
        return [Mistake("", mistake) for mistake in error.mistakes]
    return []


def warnings(config: Config) -> Iterator[Mistake]:
    """What a working configuration says, and probably does not mean."""
    folder = config.station.state_dir
    if not config.simulated and (kind := fleeting_here(folder)):
        text = (
            f"is {folder}, which is on {kind}: what the borne keeps would be lost in a power cut; "
            "mount the data partition there; an overlay is overlayroot=tmpfs:recurse=0"
        )
        yield Mistake("station.state_dir", text)
    for index, evse in enumerate(config.evse):
        if evse.max_current > config.supply.max_current:
            text = f"is {evse.max_current:g} A, but the borne's supply gives {config.supply.max_current:g} A at most"
            yield Mistake(f"evse[{index}].max_current", text)
        if evse.controller is not None:
            yield Mistake(f"evse[{index}].controller", _said_of(evse.controller.model))
        if evse.meter is None:
            yield Mistake(f"evse[{index}].meter", "is missing: sessions of this point have no energy to bill")
    if not config.ocpp.url:
        yield Mistake("ocpp.url", "is empty: the borne has no central system and knows only local badges")
    yield from _ocpp_keys(config)


def _said_of(model: str) -> str:
    """What whoever puts an external pilot controller in charge has to know."""
    from chargepoint.controller.maps import load as load_map

    regmap = load_map(model)
    alone = (
        f"it stops by itself {regmap.watchdog_s:g} s after this program has fallen silent"
        if regmap.watchdog_s
        else "it has no watchdog: when this computer stops, it goes on as it was last told, until the car has left"
    )
    return f"{regmap.title}: the safety of this point is that device's, not this program's; {alone}"


def _ocpp_values(config: Config) -> Iterator[Mistake]:
    """Initial values of OCPP 1.6 keys that their keys do not take: the station would log them and go on without."""
    if not config.ocpp.configuration:
        return
    from chargepoint.ocpp.v16 import keys
    from chargepoint.station.settings import Settings

    owners = keys.Owners(config, Settings(), keys.ProtocolSettings(), _NoSecurity())
    table = {key.name.casefold(): key for key in keys.ALL}
    for name, value in config.ocpp.configuration.items():
        key = table.get(name.casefold())
        if key is None or key.write is None or key.secret:
            continue
        try:
            key.write(owners, keys.show(value))
        except ValueError as error:
            yield Mistake(f"ocpp.configuration.{name}", str(error))


class _NoSecurity:
    """Takes what the owner of the security keys would look at when it is put into effect."""

    profile = 0

    def propose_profile(self, profile: int) -> None: ...

    def propose_key(self, key: str) -> None: ...


def _ocpp_keys(config: Config) -> Iterator[Mistake]:
    """Initial values of OCPP 1.6 keys that the station will pass over."""
    if not config.ocpp.configuration:
        return
    from chargepoint.ocpp.v16 import keys

    table = {key.name.casefold(): key for key in keys.ALL}
    for name in config.ocpp.configuration:
        path = f"ocpp.configuration.{name}"
        key = table.get(name.casefold())
        if key is None:
            yield Mistake(path, f"is not a key the program knows{closest(name, [key.name for key in keys.ALL])}")
        elif key.write is None:
            yield Mistake(path, "is read-only, so what is written here has no effect")
