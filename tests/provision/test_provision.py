"""A fleet's list becomes bundles and labels, or is refused with every mistake in it, each with its line."""

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from provision_rig import GOOD, HEAD, borne, listed, make

from chargepoint.config_check import parse
from chargepoint.console import access
from chargepoint.provision import command, files, fleet, labels
from chargepoint.provision.fleet import FleetError
from chargepoint.update import bundle
from chargepoint.update.bundle import BundleError, Manifest


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
        ("X1,Sedan,I:D,FR*ARD*E1,32,3,T2,eastron-sdm630:1", "line 2: identity 'I:D'"),
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
        (
            "X1,Sedan,ID,FR*ARD*E1*11 FR*ARD*E11*1,32,3,T2 T2,eastron-sdm630:1 eastron-sdm630:2",
            "stands twice in this line",
        ),
        ("X1,Sedan,ID", "line 2: not 8 fields"),
        ("X1,Se,dan,ID,FR*ARD*E1,32,3,T2,eastron-sdm630:1", "line 2: not 8 fields"),
    ],
)
def test_a_malformed_row_is_refused_with_its_line_and_the_reason(tmp_path: Path, row: str, why: str) -> None:
    with pytest.raises(FleetError) as refused:
        fleet.read(listed(tmp_path, f"{HEAD}{row}\n"))
    assert why in str(refused.value)


EXTERNAL = "ARD-0003,Sedan,FR-ARD-0003,FR*ARD*E0003*1 FR*ARD*E0003*2,52,3,T2 T2,eastron-sdm630:1 eastron-sdm630:2,{}\n"


def with_controllers(tmp_path: Path, controllers: str) -> Path:
    """Two bornes with a carrier board and a third one with these controllers."""
    board = GOOD.replace("\n", ",\n")
    return listed(tmp_path, HEAD.replace("\n", ",controllers\n") + board + EXTERNAL.format(controllers))


def test_external_pilot_controllers_come_into_the_configuration(tmp_path: Path) -> None:
    path = with_controllers(
        tmp_path, "phoenix-em-cp-pp-eth:7@192.0.2.20:1502 evse-din@/dev/serial/by-path/usb-0:1.2:1.0"
    )
    options = files.Options(url="wss://csms.example", operator="Ardenne")
    first, _, external = (parse(files.configuration(borne, options)) for borne in fleet.read(path))
    assert (first.board.kind, first.evse[0].controller) == ("raspberry-pi", None)
    assert external.board.kind == "modbus-pilot"
    tcp, serial = (evse.controller for evse in external.evse)
    assert tcp is not None
    assert (tcp.model, tcp.host, tcp.port, tcp.unit) == ("phoenix-em-cp-pp-eth", "192.0.2.20", 1502, 7)
    assert serial is not None
    assert (serial.device, serial.host, serial.unit) == ("/dev/serial/by-path/usb-0:1.2:1.0", "", None)
    (_, _, six) = fleet.read(with_controllers(tmp_path, "evse-din@[2001:db8::7]:503 evse-din@gateway.example"))
    assert [point.controller and (point.controller.host, point.controller.port) for point in six.points] == [
        ("2001:db8::7", 503),
        ("gateway.example", None),
    ]


@pytest.mark.parametrize(
    ("controllers", "why"),
    [
        ("evse-din@/dev/ttyUSB0", "line 4: 1 controllers for 2 points"),
        ("evse-din@10.0.0.1 evse-dim@10.0.0.2", "controller 'evse-dim' is not known; did you mean \"evse-din\""),
        ("evse-din@10.0.0.1 evse-din", "line 4: controller 'evse-din': write MODEL@HOST"),
        ("evse-din@10.0.0.1 evse-din:x@10.0.0.2", "line 4: controller 'evse-din:x@10.0.0.2': write MODEL@HOST"),
        ("evse-din@10.0.0.1 evse-din:0@10.0.0.2", "its Modbus unit is 1 to 255"),
        ("evse-din@10.0.0.1 evse-din@10.0.0.2:70000", "its port is 1 to 65535"),
    ],
)
def test_a_controller_that_cannot_be_is_refused_with_its_line(tmp_path: Path, controllers: str, why: str) -> None:
    with pytest.raises(FleetError) as refused:
        fleet.read(with_controllers(tmp_path, controllers))
    assert why in str(refused.value)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (EXTERNAL.format("evse-din:3@/dev/pilots evse-din:3@/dev/pilots"), "line 4: evse[1].controller.unit"),
        (EXTERNAL.format("evse-din@/dev/pilots evse-din@/dev/chargepoint-meters"), "the line of the meters"),
        (EXTERNAL.format("evse-din@h:1 evse-din@h:2").replace("T2 T2", "T2 T2+EF"), "has one socket, Type 2"),
    ],
)
def test_what_does_not_fit_within_a_row_is_told_at_the_desk(
    tmp_path: Path, row: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = with_controllers(tmp_path, "")
    path.write_text(path.read_text().replace(EXTERNAL.format(""), row))
    assert command.main(["check", str(path)], tmp_path) == 1
    said = capsys.readouterr().err
    assert "1 mistake\n" in said
    assert why in said


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


def revocations(path: Path) -> Path:
    """A manufacturer's list without entries."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Manufacturer")])
    now = datetime(2026, 1, 1, tzinfo=UTC)
    crl = x509.CertificateRevocationListBuilder().issuer_name(name).last_update(now).next_update(now + timedelta(30))
    path.write_bytes(crl.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    return path


def test_the_list_of_revoked_certificates_goes_with_the_bundle(tmp_path: Path) -> None:
    pytest.importorskip("segno", reason="segno is not installed (extra provision)")
    bundle.make_keys(tmp_path / "keys")
    lists = revocations(tmp_path / "lists.pem")
    assert make(tmp_path, "--firmware-crl", str(lists)) == 0
    etc = borne(tmp_path)
    assert command.main(["apply", str(tmp_path / "out/bundles/ARD-0002.bundle"), "--etc", str(etc)], tmp_path) == 0
    assert (etc / "firmware-crl.pem").read_bytes() == lists.read_bytes()
    named = parse((etc / "chargepoint.toml").read_text()).ocpp.firmware_crl_file
    assert named == Path("/etc/chargepoint/firmware-crl.pem")


@pytest.mark.parametrize(
    ("option", "text", "why"),
    [
        ("--firmware-crl", "", "holds no list of revoked certificates in PEM form"),
        ("--firmware-crl", "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", "cannot be read"),
        ("--ca", "nothing", "holds no certificate in PEM form that a borne can use"),
    ],
)
def test_a_file_that_is_not_what_it_shall_be_makes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, text: str, why: str
) -> None:
    bundle.make_keys(tmp_path / "keys")
    (tmp_path / "given.pem").write_text(text)
    assert make(tmp_path, option, str(tmp_path / "given.pem")) == 1
    assert why in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_label_for_each_point_says_its_id(office: Path) -> None:
    names = sorted(path.name for path in (office / "labels").iterdir())
    assert names == [f"ARD-000{n}.{kind}" for n in ("1-1", "1-2", "2-1") for kind in ("pdf", "svg")]
    label = ElementTree.parse(office / "labels/ARD-0002-1.svg")
    words = [text.text for text in label.iter("{http://www.w3.org/2000/svg}text")]
    assert words == ["1", "FR*ARD*E0002", "Charleville-Mézières, gare", "ARD-0002", "cable"]
    assert (office / "labels/ARD-0002-1.pdf").read_bytes().startswith(b"%PDF")


def test_no_two_points_share_a_label_although_a_serial_has_dots(tmp_path: Path) -> None:
    pytest.importorskip("segno")
    bornes = fleet.read(listed(tmp_path, HEAD + GOOD.replace("ARD-0001,", "A.1,").replace("ARD-0002,", "A.2,")))
    written = [path for borne in bornes for path in labels.write(tmp_path, borne, "{evse_id}")]
    assert sorted(path.name for path in written) == [
        f"A.{n}.{kind}" for n in ("1-1", "1-2", "2-1") for kind in ("pdf", "svg")
    ]
    assert len(set(written)) == 6


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


def test_ids_that_differ_by_their_stars_alone_are_the_same_to_a_registry(tmp_path: Path) -> None:
    rows = "".join(
        f"X{n},Sedan,ID{n},{evse},32,3,T2,eastron-sdm630:1\n" for n, evse in ((1, "FR*ARD*E1*11"), (2, "FR*ARD*E11*1"))
    )
    with pytest.raises(FleetError, match=r"line 3: EVSE id 'FR\*ARD\*E11\*1' stands in line 2 already"):
        fleet.read(listed(tmp_path, HEAD + rows))


def test_a_misspelt_column_of_controllers_is_not_passed_over(tmp_path: Path) -> None:
    head = HEAD.replace("meters", "meters,controlers")
    with pytest.raises(FleetError, match='line 1: column controlers is not known; did you mean "controllers"'):
        fleet.read(listed(tmp_path, head + EXTERNAL.format("")))


@pytest.mark.parametrize("after", range(7))
def test_a_borne_whose_power_went_while_its_bundle_was_applied_is_configured_at_its_next_start(
    tmp_path: Path, office: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """The unit of the first start applies a bundle while there is no serial: with it everything has to be there."""
    etc = borne(tmp_path)
    words = ["apply", str(office / "bundles/ARD-0001.bundle"), "--etc", str(etc)]
    placed: list[str] = []
    place = command._place

    def cut(source: Path, target: Path) -> None:
        if len(placed) == after:
            raise KeyboardInterrupt
        place(source, target)
        placed.append(target.name)

    with monkeypatch.context() as power:
        power.setattr(command, "_place", cut)
        try:
            command.main(words, tmp_path)
        except KeyboardInterrupt:
            assert not (etc / "serial").exists()
    assert command.main(words, tmp_path) == 0
    assert parse((etc / "chargepoint.toml").read_text()).station.serial == "ARD-0001"
    assert (etc / "serial").exists()


def test_a_bundle_that_is_exchanged_after_it_was_checked_changes_nothing(
    tmp_path: Path, office: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    etc = borne(tmp_path)
    good, other = (office / f"bundles/ARD-000{n}.bundle" for n in (1, 2))
    read = bundle.read_manifest

    def exchanged(*words: object) -> Manifest:
        manifest = read(*words)  # type: ignore[arg-type]
        other.replace(good)
        return manifest

    monkeypatch.setattr(bundle, "read_manifest", exchanged)
    assert command.main(["apply", str(good), "--etc", str(etc)], tmp_path) == 1
    assert "exchanged" in capsys.readouterr().err
    assert [item.name for item in etc.iterdir()] == ["trusted-keys"]


def test_each_secret_is_readable_by_the_one_program_that_needs_it(
    tmp_path: Path, office: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    etc = borne(tmp_path)
    given: dict[str, tuple[str, str, int]] = {}

    def chown(path: Path, user: str, group: str) -> None:
        given[path.name] = user, group, path.stat().st_mode & 0o777

    monkeypatch.setattr(command.shutil, "chown", chown)
    monkeypatch.setattr(command.os, "geteuid", lambda: 0)
    assert command.main(["apply", str(office / "bundles/ARD-0001.bundle"), "--etc", str(etc)], tmp_path) == 0
    assert given["ocpp-password"] == given["client-key.pem"] == ("chargepoint", "chargepoint", 0o600)
    assert given["console-pin"] == ("chargepoint-console", "chargepoint", 0o600)
    assert given["chargepoint.toml"] == ("root", "chargepoint", 0o640)
    assert all((etc / name).stat().st_mode & 0o777 == mode for name, (_, _, mode) in given.items())


def test_a_secret_whose_reader_the_system_does_not_know_is_roots_alone(
    tmp_path: Path, office: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    etc = borne(tmp_path)

    def unknown(path: Path, user: str, group: str) -> None:
        raise LookupError(f"no such user: {user!r}")

    monkeypatch.setattr(command.shutil, "chown", unknown)
    monkeypatch.setattr(command.os, "geteuid", lambda: 0)
    assert command.main(["apply", str(office / "bundles/ARD-0001.bundle"), "--etc", str(etc)], tmp_path) == 0
    assert (etc / "chargepoint.toml").stat().st_mode & 0o777 == 0o600


def test_a_bundle_with_its_secrets_does_not_stay_on_the_boot_partition_when_the_power_goes(
    tmp_path: Path, office: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing looks there again once the borne has its serial; and without it the configuration tells who it is."""
    etc = borne(tmp_path)
    path, other = (office / f"bundles/ARD-000{n}.bundle" for n in (1, 2))
    place = command._place

    def cut(source: Path, target: Path) -> None:
        if target.name == "serial":
            raise KeyboardInterrupt
        place(source, target)

    with monkeypatch.context() as power:
        power.setattr(command, "_place", cut)
        with pytest.raises(KeyboardInterrupt):
            command.main(["apply", "--take-away", str(path), "--etc", str(etc)], tmp_path)
    assert not path.exists()
    assert command.main(["apply", str(other), "--etc", str(etc)], tmp_path) == 1
    assert "for borne ARD-0002; this is ARD-0001" in capsys.readouterr().err


def test_a_bundle_that_cannot_be_taken_away_is_applied_once_and_named(
    tmp_path: Path, office: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a new borne, with the configuration that the package brings; the boot partition is read-only."""
    etc = borne(tmp_path)
    default = Path(__file__).parents[2] / "packaging/default.toml"
    (etc / "chargepoint.toml").write_text(default.read_text())
    path = office / "bundles/ARD-0001.bundle"

    def read_only(folder: Path) -> None:
        if folder == path.parent:
            raise OSError(30, "Read-only file system")

    monkeypatch.setattr(command, "sync_folder", read_only)
    assert command.main(["apply", "--take-away", str(path), "--etc", str(etc)], tmp_path) == 0
    assert "holds secrets and stays" in capsys.readouterr().err
    assert (etc / "serial").read_text() == "ARD-0001\n"


def test_a_bundle_that_is_refused_is_not_taken_away(tmp_path: Path, office: Path) -> None:
    etc = borne(tmp_path)
    path = office / "bundles/ARD-0001.bundle"
    (etc / "serial").write_text("ARD-0002\n")
    assert command.main(["apply", "--take-away", str(path), "--etc", str(etc)], tmp_path) == 1
    assert path.exists()
