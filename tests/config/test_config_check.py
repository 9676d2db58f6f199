"""The configuration file: what is accepted, and that every mistake is named at once."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargepoint.config_check import ConfigError, load, meter_models, missing_files, parse
from chargepoint.meter.maps import load as load_map
from chargepoint.reader.reader import KINDS

GOOD = """\
[station]
id = "FR-ARD-0001"

[supply]
phases = 3
max_current = 52

[board]
kind = "simulated"

[[evse]]
id = 1
max_current = 32
meter = { model = "eastron-sdm630", unit = 1 }

[[evse]]
id = 2
max_current = 32
phase_rotation = "STR"
meter = { model = "eastron-sdm630", unit = 2 }

[ocpp]
url = "ws://127.0.0.1:9000/ocpp"
security_profile = 0
"""


SIGNAL = '[[grid_signal]]\nname = "peak"\nsource = "tic-relay-1"\nlimit = 8\n'


def mistakes(text: str) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    return {mistake.path: str(mistake) for mistake in caught.value.mistakes}


def test_the_minimum_is_accepted_with_defaults() -> None:
    config = parse(GOOD)
    assert [evse.id for evse in config.evse] == [1, 2]
    assert config.station.run_dir == Path("/run/chargepoint")
    assert config.evse[1].phase_rotation == "STR"
    assert config.evse[0].socket


def test_every_mistake_is_named_at_once_with_line_value_and_remedy() -> None:
    text = GOOD.replace("max_current = 52", 'max_current = "52 A"').replace('"simulated"', '"simulatd"')
    text = text.replace('phase_rotation = "STR"', 'phase_rotatoin = "STR"').replace("unit = 2", "unit = 300")
    found = mistakes(text)
    assert set(found) == {"supply.max_current", "board.kind", "evse[1].phase_rotatoin", "evse[1].meter.unit"}
    assert found["supply.max_current"].startswith("line 6: ")
    assert '"52 A"' in found["supply.max_current"]
    assert "without quotes" in found["supply.max_current"]
    assert 'did you mean "simulated"?' in found["board.kind"]
    assert 'did you mean "phase_rotation"?' in found["evse[1].phase_rotatoin"]
    assert "line 20: " in found["evse[1].meter.unit"]
    assert "1 to 247" in found["evse[1].meter.unit"]


def test_a_wrong_type_does_not_hide_what_does_not_fit_together() -> None:
    found = mistakes(GOOD.replace("id = 2", "id = 1").replace("phases = 3", "phases = 2"))
    assert set(found) == {"supply.phases", "evse[1].id"}


@pytest.mark.parametrize(
    ("old", "new", "path", "says"),
    [
        ("max_current = 52", "max_current = 5", "supply.max_current", "6 A"),
        ("unit = 2", "unit = 1", "evse[1].meter.unit", "evse[0]"),
        ("eastron-sdm630", "eastron-sdm63O", "evse[0].meter.model", 'did you mean "eastron-sdm630"?'),
        ("eastron-sdm630", "x" * 300, "evse[0].meter.model", "known are"),
        ("phases = 3", "phases = 1", "evse[0].phases", "the supply has 1"),
        ('"STR"', '"S"', "evse[1].phase_rotation", "three phases"),
        ('"STR"', '"S"\nphases = 1\ndomestic = {}', "evse[1].domestic.phase", "write one of S"),
        ("ws://", "http://", "ocpp.url", "ws:// or wss://"),
        ("security_profile = 0", "security_profile = 2", "ocpp.url", "wss://"),
        ("security_profile = 0", "security_profile = 1", "ocpp.password_file", "sends a password"),
        ('kind = "simulated"', 'kind = "raspberry-pi"', "ocpp.security_profile", "allow_insecure"),
        ("[ocpp]", "[[reader]]\nevses = [3]\n[ocpp]", "reader[0].evses", "names point 3"),
        ("[ocpp]", '[[reader]]\nkind = "rfid"\n[ocpp]', "reader[0].kind", '"pn532"'),
        ("[ocpp]", "[[reader]]\n[[reader]]\n[ocpp]", "reader[1].id", "twice"),
        ("[supply]", f'run_dir = "/{"x" * 120}"\n[supply]', "station.run_dir", "shorter"),
        ("[ocpp]", '[building_meter]\nmodel = "x"\nunit = 3\n[ocpp]', "building_meter.model", "known are"),
        ("[ocpp]", '[building_meter]\nmodel = "abb-b23"\nunit = 2\n[ocpp]', "building_meter.unit", "evse[1]"),
        (
            "[ocpp]",
            '[building_meter]\nmodel = "abb-b23"\ntransport = "tcp"\n[ocpp]',
            "building_meter.host",
            "name or address",
        ),
        (
            'model = "eastron-sdm630", unit = 2',
            'model = "eastron-sdm120", unit = 2',
            "evse[1].meter.model",
            "three-phase meter or write phases = 1",
        ),
        ("[ocpp]", '[building_meter]\nmodel = "abb-b21"\nunit = 3\n[ocpp]', "building_meter.model", "tells 1 currents"),
        (
            "[ocpp]",
            '[building_meter]\nmodel = "eastron-sdm72d-m-v1"\nunit = 3\n[ocpp]',
            "building_meter.model",
            "tells 0 currents",
        ),
        (
            "[ocpp]",
            '[building_meter]\nmodel = "abb-b23"\nunit = 3\ninterval = 10\n[ocpp]',
            "building_meter.interval",
            "to 5",
        ),
        ("[ocpp]", "[meter_bus]\ninterval = 5\n[tic]\n[ocpp]", "meter_bus.interval", "at most 2"),
        ("[ocpp]", '[meter_bus]\nport = "/dev/a"\n[tic]\nport = "/dev/a"\n[ocpp]', "tic.port", "meter_bus.port"),
        (
            "[ocpp]",
            '[[reader]]\nport = "/dev/a"\n[[reader]]\nid = 2\nport = "/dev/a"\n[ocpp]',
            "reader[1].port",
            "reader[0].port",
        ),
        (
            "[ocpp]",
            '[meter_bus]\nport = "/dev/a"\n[building_meter]\nmodel = "abb-b23"\ndevice = "/dev/a"\n[ocpp]',
            "building_meter.device",
            "meter_bus.port",
        ),
        ("127.0.0.1:9000", "", "ocpp.url", "names no host"),
        ("127.0.0.1:9000", "central system", "ocpp.url", "names no host"),
        ("[ocpp]", f'[authorisation]\nfree_vend_tag = "{"x" * 21}"\n[ocpp]', "authorisation.free_vend_tag", "to 20"),
        ("[ocpp]", f"{SIGNAL}[ocpp]", "grid_signal[0].source", "add the table [tic]"),
        (
            "[ocpp]",
            '[[grid_signal]]\nname = "x"\nsource = "input-3"\nlimit = 8\n[ocpp]',
            "grid_signal[0].source",
            "input-1",
        ),
        ("[ocpp]", f"[tic]\n{SIGNAL}evses = [7]\n[ocpp]", "grid_signal[0].evses", "names point 7"),
        ("[ocpp]", f"[tic]\n{SIGNAL}{SIGNAL}[ocpp]", "grid_signal[1].name", "grid_signal[0]"),
        ("[ocpp]", '[sharing]\noff_peak = ["HC"]\n[ocpp]', "sharing.off_peak", "add the table [tic]"),
        ("[ocpp]", "[sharing]\noff_peak = 3\n[ocpp]", "sharing.off_peak", "array of texts"),
        ("[ocpp]", '[sharing]\nsafe_current = "x"\n[ocpp]', "sharing.safe_current", "a number from 0 to 1000"),
        ('id = "FR-ARD-0001"', "", "station.id", "is missing"),
        ("[board]", "[bord]", "board", "is missing"),
    ],
)
def test_a_value_that_cannot_be_is_refused(old: str, new: str, path: str, says: str) -> None:
    found = mistakes(GOOD.replace(old, new))
    assert says in found[path]


def test_a_building_meter_of_one_phase_counts_on_the_only_phase_there_is() -> None:
    one = GOOD.replace("phases = 3", "phases = 1").replace("max_current = 32", "max_current = 32\nphases = 1")
    one = one.replace('"STR"', '"R"')
    meter = '[building_meter]\nmodel = "abb-b21"\nunit = 3\n'
    assert parse(one + meter).building_meter is not None
    assert "write RST" in mistakes(f'{one}{meter}phase_rotation = "STR"\n')["building_meter.phase_rotation"]


@pytest.mark.parametrize(
    "url", ["ws://[::1]:9000/ocpp", "wss://central.system", "wss://a/b?key=value", "ws://user:word@host:80/x"]
)
def test_an_address_of_a_central_system_is_accepted(url: str) -> None:
    assert parse(GOOD.replace("ws://127.0.0.1:9000/ocpp", url)).ocpp.url == url


@pytest.mark.parametrize("url", ["ws://central..system", "wss://.system/ocpp", f"wss://{'a' * 64}.fr/ocpp"])
def test_a_host_name_that_cannot_be_is_refused(url: str) -> None:
    assert "ocpp.url" in mistakes(GOOD.replace("ws://127.0.0.1:9000/ocpp", url))


def test_readers_on_lines_of_their_own_are_accepted() -> None:
    extra = '[meter_bus]\nport = "/dev/m"\n[tic]\n[[reader]]\n[[reader]]\nid = 2\n[[reader]]\nid = 3\nport = "/dev/r"\n'
    assert len(parse(GOOD + extra).reader) == 3


def test_no_points_is_a_mistake() -> None:
    found = mistakes('evse = []\n[station]\nid = "x"\n[supply]\nmax_current = 32\n[board]\nkind = "simulated"\n')
    assert set(found) == {"evse"}


def test_text_that_is_not_toml_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "broken.toml"
    file.write_text("[station]\nid = \n")
    with pytest.raises(ConfigError, match="line 2"):
        load(file)


def test_a_file_that_cannot_be_read_is_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.toml"):
        load(tmp_path / "nothing.toml")
    (tmp_path / "latin.toml").write_bytes(b'[station]\nid = "\xe9"\n')
    with pytest.raises(ConfigError, match="UTF-8"):
        load(tmp_path / "latin.toml")


def test_files_named_by_the_security_profile_must_be_readable(tmp_path: Path) -> None:
    text = GOOD.replace("ws://", "wss://").replace("security_profile = 0", "security_profile = 2")
    password, authority = tmp_path / "password", tmp_path / "ca.pem"
    config = parse(f'{text}password_file = "{password}"\ncsms_ca_file = "{authority}"\n')
    assert {mistake.path for mistake in missing_files(config)} == {"ocpp.password_file", "ocpp.csms_ca_file"}
    password.touch()
    authority.touch()
    assert missing_files(config) == []


def test_every_reader_kind_of_the_configuration_has_a_protocol() -> None:
    for kind in KINDS:
        parse(GOOD.replace("[ocpp]", f'[[reader]]\nkind = "{kind}"\n[ocpp]'))


def test_a_wiegand_reader_needs_pins_and_there_is_one_pair() -> None:
    real = GOOD.replace('kind = "simulated"', 'kind = "raspberry-pi"').replace(
        "security_profile = 0", "security_profile = 0\nallow_insecure = true"
    )
    parse(real.replace("[ocpp]", '[[reader]]\nkind = "wiegand"\n[ocpp]'))
    with pytest.raises(ConfigError, match="which the simulated borne does not have"):
        parse(GOOD.replace("[ocpp]", '[[reader]]\nkind = "wiegand"\n[ocpp]'))
    two = '[[reader]]\nkind = "wiegand"\nport = "/dev/ttyS0"\n[[reader]]\nid = 2\nkind = "wiegand"\n[ocpp]'
    with pytest.raises(ConfigError) as caught:
        parse(real.replace("[ocpp]", two))
    assert "reader[0].port" in str(caught.value) and "the pin map has lines for one" in str(caught.value)


PILOTS = GOOD.replace('kind = "simulated"', 'kind = "modbus-pilot"').replace(
    "security_profile = 0", "security_profile = 0\nallow_insecure = true"
)


def with_controllers(first: str, second: str) -> str:
    """The example's two points, each with the controller that is given."""
    text = PILOTS
    for controller in (first, second):
        text = text.replace("max_current = 32\n", f"max_current = 32.0\ncontroller = {{ {controller} }}\n", 1)
    return text


def test_external_pilot_controllers_are_one_for_each_point() -> None:
    tcp, rtu = 'model = "phoenix-em-cp-pp-eth", host = "192.0.2.20"', 'model = "evse-din", device = "/dev/pilots"'
    config = parse(with_controllers(tcp, rtu))
    assert config.external_pilots and config.evse[1].controller is not None
    for first, second, words in (
        (tcp, tcp, "evse[1].controller.unit: is that of evse[0] on the same line"),
        (tcp, rtu.replace("evse-din", "evse-dim"), 'did you mean "evse-din"?'),
        (tcp, rtu + ', host = "192.0.2.21"', "not both and not none"),
        (tcp, 'model = "evse-din"', "not both and not none"),
        (tcp, rtu.replace("/dev/pilots", "/dev/chargepoint-meters"), "the line of the meters"),
        (rtu, rtu + ", unit = 2, baudrate = 19200", "differs from that of another point"),
    ):
        with pytest.raises(ConfigError) as caught:
            parse(with_controllers(first, second))
        assert words in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        parse(PILOTS)
    assert "evse[0].controller: is missing" in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        parse(with_controllers(tcp, rtu).replace("modbus-pilot", "raspberry-pi"))
    assert 'write kind = "modbus-pilot"' in str(caught.value)


def test_every_meter_model_is_accepted() -> None:
    assert "abb-b23" in meter_models()
    for model in meter_models():
        phases = load_map(model).phases
        parse(GOOD.replace("eastron-sdm630", model).replace("max_current = 32", f"max_current = 32\nphases = {phases}"))


VALUES = st.one_of(
    st.booleans(),
    st.integers(-5, 400),
    st.floats(-1, 400),
    st.text("aé\"'\\\n[]", max_size=4).map(repr),
    st.just("[1, 2]"),
    st.just("{ a = 1 }"),
)


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "station.id",
                "supply",
                "supply.phases",
                "supply.max_current",
                "board",
                "evse",
                "meter_bus.parity",
                "x.y",
                "tic",
            ]
        ),
        VALUES,
    )
)
def test_no_content_ends_in_anything_but_a_configuration_or_named_mistakes(pairs: dict[str, object]) -> None:
    text = "\n".join(
        f"{key} = {str(value).lower() if isinstance(value, bool) else value}" for key, value in pairs.items()
    )
    try:
        parse(text)
    except ConfigError as error:
        assert error.mistakes


def test_serial_devices_have_names_of_their_own_on_either_board() -> None:
    simulated = parse(GOOD)
    assert simulated.meter_port() == "/run/chargepoint/sim-meters"
    assert simulated.reader_port(simulated.reader[0]) == "/run/chargepoint/sim-reader-1"
    real = parse(GOOD.replace("simulated", "raspberry-pi").replace("profile = 0", "profile = 0\nallow_insecure = true"))
    assert real.meter_port() == "/dev/chargepoint-meters"
    assert real.reader_port(real.reader[0]) == "/dev/chargepoint-reader"


def test_a_version_that_is_not_spoken_is_refused_instead_of_speaking_another() -> None:
    with pytest.raises(ConfigError, match=r'ocpp.version: is "2.0.1", which this release does not speak yet'):
        parse(GOOD + 'version = "2.0.1"\n')
