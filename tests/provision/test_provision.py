"""A fleet's list becomes bundles and labels, or is refused with every mistake in it, each with its line."""

import csv
from pathlib import Path
from xml.etree import ElementTree

import pytest
from cryptography import x509

from chargepoint.config_check import parse
from chargepoint.console import access
from chargepoint.provision import command, fleet
from chargepoint.provision.fleet import FleetError
from chargepoint.update import bundle
from chargepoint.update.bundle import BundleError, Manifest

HEAD = "serial,commune,identity,evse_ids,supply_a,phases,sockets,meters\n"
GOOD = (
    "ARD-0001,Sedan,FR-ARD-0001,FR*ARD*E0001*1 FR*ARD*E0001*2,52,3,T2+EF T2,eastron-sdm630:1 eastron-sdm630:2\n"
    'ARD-0002,"Charleville-Mézières, gare",FR-ARD-0002,FR*ARD*E0002,32,1,cable,eastron-sdm230:1\n'
)


def listed(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "fleet.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_list_is_read(tmp_path: Path) -> None:
    first, second = fleet.read(listed(tmp_path, HEAD + GOOD))
    assert [point.unit for point in first.points] == [1, 2]
    assert first.points[0].socket == "T2+EF"
    assert second.commune == "Charleville-Mézières, gare"
    assert second.phases == 1


def test_a_spreadsheets_semicolons_and_byte_order_mark_are_understood(tmp_path: Path) -> None:
    text = "\ufeff" + HEAD.replace(",", ";") + GOOD.splitlines()[0].replace(",", ";") + "\n"
    assert fleet.read(listed(tmp_path, text))[0].serial == "ARD-0001"


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("X 1,Sedan,ID,FR*ARD*E1,32,3,T2,eastron-sdm630:1", "line 2: serial 'X 1'"),
        ("X1,Sedan,I D,FR*ARD*E1,32,3,T2,eastron-sdm630:1", "line 2: identity 'I D'"),
        ("X1,,ID,FR*ARD*E1,32,3,T2,eastron-sdm630:1", "line 2: commune is empty"),
        ("X1,Sedan,ID,FR*ARD*0001,32,3,T2,eastron-sdm630:1", "line 2: EVSE id 'FR*ARD*0001': write it like"),
        ("X1,Sedan,ID,fr*ard*e1,32,3,T2,eastron-sdm630:1", "line 2: EVSE id 'fr*ard*e1'"),
        ("X1,Sedan,ID,,32,3,T2,eastron-sdm630:1", "line 2: evse_ids is empty"),
        ("X1,Sedan,ID,FR*ARD*E1,much,3,T2,eastron-sdm630:1", "line 2: supply_a 'much'"),
        ("X1,Sedan,ID,FR*ARD*E1,5,3,T2,eastron-sdm630:1", "line 2: supply_a '5'"),
        ("X1,Sedan,ID,FR*ARD*E1,nan,3,T2,eastron-sdm630:1", "line 2: supply_a 'nan'"),
        ("X1,Sedan,ID,FR*ARD*E1,32,2,T2,eastron-sdm630:1", "line 2: phases '2'"),
        ("X1,Sedan,ID,FR*ARD*E1,32,3,CCS,eastron-sdm630:1", "line 2: socket 'CCS'"),
        ("X1,Sedan,ID,FR*ARD*E1,32,3,T2,eastron-sdm63:1", 'not known; did you mean "eastron-sdm630"'),
        ("X1,Sedan,ID,FR*ARD*E1,32,3,T2,eastron-sdm630", "write MODEL:UNIT"),
        ("X1,Sedan,ID,FR*ARD*E1,32,3,T2,eastron-sdm630:300", "write MODEL:UNIT"),
        ("X1,Sedan,ID,FR*ARD*E1 FR*ARD*E2,32,3,T2,eastron-sdm630:1", "2 evse_ids, 1 sockets and 1 meters"),
        ("X1,Sedan,ID,FR*ARD*E1 FR*ARD*E2,32,3,T2 T2,eastron-sdm630:1 eastron-sdm630:1", "unit 1 stands twice"),
        ("X1,Sedan,ID,FR*ARD*E1 FR*ARD*E1,32,3,T2 T2,eastron-sdm630:1 eastron-sdm630:2", "stands twice in this line"),
        ("X1,Sedan,ID", "line 2: not 8 fields"),
        ("X1,Se,dan,ID,FR*ARD*E1,32,3,T2,eastron-sdm630:1", "line 2: not 8 fields"),
    ],
)
def test_a_malformed_row_is_refused_with_its_line_and_the_reason(tmp_path: Path, row: str, why: str) -> None:
    with pytest.raises(FleetError) as refused:
        fleet.read(listed(tmp_path, f"{HEAD}{row}\n"))
    assert why in str(refused.value)


def test_what_stands_twice_is_named_with_both_lines_and_all_mistakes_come_at_once(tmp_path: Path) -> None:
    text = (
        HEAD
        + GOOD
        + "ard-0001,Sedan,FR-ARD-0002,FR*ARD*E0001*2,32,3,T2,eastron-sdm630:1\n"
        + "X,Sedan,Y,bad,32,3,T2,eastron-sdm630:1\n"
    )
    with pytest.raises(FleetError) as refused:
        fleet.read(listed(tmp_path, text))
    said = refused.value.mistakes
    assert "line 4: serial 'ard-0001' stands in line 2 already" in said
    assert "line 4: identity 'FR-ARD-0002' stands in line 3 already" in said
    assert "line 4: EVSE id 'FR*ARD*E0001*2' stands in line 2 already" in said
    assert any(text.startswith("line 5: EVSE id 'bad'") for text in said)


def test_a_file_that_is_no_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="column serial is missing"):
        fleet.read(listed(tmp_path, "a,b\n1,2\n"))
    with pytest.raises(FleetError, match="no borne"):
        fleet.read(listed(tmp_path, HEAD))
    (tmp_path / "latin").write_bytes((HEAD + GOOD).encode("latin-1"))
    with pytest.raises(FleetError, match="CSV UTF-8"):
        fleet.read(tmp_path / "latin")


@pytest.fixture
def office(tmp_path: Path) -> Path:
    pytest.importorskip("segno", reason="segno is not installed (extra provision)")
    bundle.make_keys(tmp_path / "keys")
    assert make(tmp_path) == 0
    return tmp_path / "out"


def make(tmp_path: Path, *words: str) -> int:
    return command.main(
        [
            *("make", str(listed(tmp_path, HEAD + GOOD)), str(tmp_path / "out")),
            *("--key", str(tmp_path / "keys/signing.key"), "--url", "wss://csms.example/ocpp"),
            *("--operator", "Ardenne Métropole", "--label-url", "https://charge.example/{evse_id}", *words),
        ],
        tmp_path,
    )


def borne(tmp_path: Path) -> Path:
    etc = tmp_path / "etc"
    (etc / "trusted-keys").mkdir(parents=True)
    (tmp_path / "keys/signing.pem").rename(etc / "trusted-keys/office.pem")
    return etc


def test_every_borne_gets_its_own_secrets_and_a_configuration_that_is_right(tmp_path: Path, office: Path) -> None:
    etc = borne(tmp_path)
    assert command.main(["apply", str(office / "bundles/ARD-0001.bundle"), "--etc", str(etc)], tmp_path) == 0
    config = parse((etc / "chargepoint.toml").read_text())
    assert (config.station.id, config.station.serial) == ("FR-ARD-0001", "ARD-0001")
    assert [evse.phase_rotation for evse in config.evse] == ["RST", "STR"]
    assert config.evse[0].domestic is not None
    assert config.evse[0].evse_id == "FR*ARD*E0001*1"
    assert (etc / "ocpp-password").stat().st_mode & 0o007 == 0
    with (office / "secrets.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert (office / "secrets.csv").stat().st_mode & 0o777 == 0o600
    assert rows[0]["ocpp_password"] == (etc / "ocpp-password").read_text()
    assert access.matches(rows[0]["console_pin"], (etc / "console-pin").read_text())
    assert rows[0]["ocpp_password"] != rows[1]["ocpp_password"]
    request = x509.load_pem_x509_csr((office / "requests/ARD-0001.csr").read_bytes())
    assert request.is_signature_valid
    assert "ARD-0001" in request.subject.rfc4514_string()


def test_a_label_for_each_point_says_its_id(office: Path) -> None:
    names = sorted(path.name for path in (office / "labels").iterdir())
    assert names == [f"ARD-000{n}.{kind}" for n in ("1-1", "1-2", "2-1") for kind in ("pdf", "svg")]
    label = ElementTree.parse(office / "labels/ARD-0002-1.svg")
    words = [text.text for text in label.iter("{http://www.w3.org/2000/svg}text")]
    assert words == ["1", "FR*ARD*E0002", "Charleville-Mézières, gare", "ARD-0002", "cable"]
    assert (office / "labels/ARD-0002-1.pdf").read_bytes().startswith(b"%PDF")


def test_a_bundle_for_another_borne_is_refused(
    tmp_path: Path, office: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    etc = borne(tmp_path)
    (etc / "serial").write_text("ARD-0001\n")
    assert command.main(["apply", str(office / "bundles/ARD-0002.bundle"), "--etc", str(etc)], tmp_path) == 1
    assert "for borne ARD-0002; this is ARD-0001" in capsys.readouterr().err
    assert not (etc / "chargepoint.toml").exists()


@pytest.mark.parametrize("damage", ["cut", "foreign", "kind"])
def test_a_bundle_that_is_not_right_changes_nothing(tmp_path: Path, office: Path, damage: str) -> None:
    etc = borne(tmp_path)
    path = office / "bundles/ARD-0001.bundle"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-200])
    elif damage == "foreign":
        bundle.make_keys(tmp_path / "others")
        other = bundle.load_private(tmp_path / "others/signing.key")
        bundle.write(path, Manifest("provision", "ARD-0001", "1", ()), {}, other)
    else:
        bundle.write(path, Manifest("update", "", "9.0", ()), {}, bundle.load_private(tmp_path / "keys/signing.key"))
    assert command.main(["apply", str(path), "--etc", str(etc)], tmp_path) == 1
    assert [item.name for item in etc.iterdir()] == ["trusted-keys"]


def test_a_folder_that_may_hold_living_passwords_is_not_overwritten(
    tmp_path: Path, office: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (office / "secrets.csv").read_text()
    assert make(tmp_path) == 1
    assert "name a new folder" in capsys.readouterr().err
    assert (office / "secrets.csv").read_text() == before


def test_a_list_with_a_mistake_makes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = listed(tmp_path, HEAD + GOOD + GOOD)
    assert command.main(["check", str(path)], tmp_path) == 1
    assert "line 4: serial 'ARD-0001' stands in line 2 already" in capsys.readouterr().err
    assert command.main(["check", str(listed(tmp_path, HEAD + GOOD))], tmp_path) == 0
    assert capsys.readouterr().out == "2 bornes, 3 points: no mistake\n"


def test_a_key_for_a_missing_signature_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no private key"):
        bundle.load_private(tmp_path / "none")
