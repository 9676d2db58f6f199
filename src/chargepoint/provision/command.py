"""`chargepoint provision ...`: at the office, bundles and labels for a fleet; at the borne, its bundle applied."""

import argparse
import csv
import io
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chargepoint.config_check import ConfigError, parse
from chargepoint.ocpp import certificates
from chargepoint.provision import earlier, files, fleet, labels
from chargepoint.provision.fleet import Borne, FleetError
from chargepoint.update import bundle
from chargepoint.update.bundle import BundleError, Manifest
from chargepoint.update.errands import BY_HAND
from chargepoint.update.slots import sync_folder
from chargepoint.urgency import complain

ETC = Path(files.ETC)
GROUP = "chargepoint"
_MODE = 0o640
_READER = {
    "ocpp-password": "chargepoint",
    "client-key.pem": "chargepoint",
    "console-pin": "chargepoint-console",
}
"""The user of the one program that reads a secret; nobody else may. All users of the units are in one group."""
_ANY = files.Options(url="wss://central.system", operator="")
"""To judge the list alone."""


@dataclass(frozen=True, slots=True)
class _Office:
    """Where the fleet's bundles go, and with which key."""

    out: Path
    key: Ed25519PrivateKey
    secrets: Mapping[str, files.Secrets]
    """By serial."""
    options: files.Options
    label_target: str


def main(words: Sequence[str], _: Path) -> int:
    """Exit status: 0 done, 1 refused, 2 wrong words."""
    arguments = _parser().parse_args(words)
    try:
        if arguments.action == "apply":
            return _apply(arguments)
        return _make(arguments)
    except (BundleError, FleetError, ConfigError, labels.LabelsMissing, OSError) as error:
        complain(f"chargepoint provision: {error}")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="chargepoint provision", description="Configuration bundles of a fleet.")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    make = actions.add_parser("make", help="check the list of the fleet; make a bundle and labels for each borne")
    make.add_argument("fleet", type=Path, help="CSV, one borne per row")
    make.add_argument("out", type=Path, help="folder for bundles, labels and secrets.csv; it must not exist yet")
    make.add_argument("--key", type=Path, required=True, help="signing key (`chargepoint update keys`)")
    make.add_argument("--url", required=True, help="address of the central system without the identity")
    make.add_argument("--operator", required=True, help="organisation in the certificate requests")
    make.add_argument("--security-profile", type=int, choices=(1, 2, 3), default=2)
    make.add_argument("--vendor", default="chargepoint")
    make.add_argument("--model", default="Borne")
    make.add_argument("--ca", type=Path, help="certificate of the central system's authority (PEM)")
    make.add_argument("--firmware-crl", type=Path, help="lists of the manufacturer's revoked certificates (PEM)")
    make.add_argument("--earlier", type=Path, help="`out` of an earlier run, whose passwords, PINs and keys are kept")
    make.add_argument("--certificates", type=Path, help="folder of SERIAL.pem, signed for the requests of --earlier")
    make.add_argument("--label-url", default="{evse_id}", help="what the QR code says; {evse_id} is replaced")
    check = actions.add_parser("check", help="check the list of the fleet and make nothing")
    check.add_argument("fleet", type=Path)
    apply = actions.add_parser("apply", help="at the borne: check its bundle and put the files into place")
    apply.add_argument("bundle", type=Path)
    apply.add_argument("--etc", type=Path, default=ETC, help=argparse.SUPPRESS)
    apply.add_argument("--take-away", action="store_true", help="remove the bundle once it is applied")
    apply.add_argument("--serial", help="refuse a bundle for any other borne")
    return parser


def _make(arguments: argparse.Namespace) -> int:
    bornes = fleet.read(arguments.fleet)
    _check_together(arguments.fleet, bornes)
    points = sum(len(borne.points) for borne in bornes)
    if arguments.action == "check":
        print(f"{len(bornes)} bornes, {points} points: no mistake")
        return 0
    if arguments.out.exists():
        raise BundleError(f"{arguments.out} exists already; passwords in it may be in use, name a new folder")
    if arguments.security_profile == 3 and arguments.certificates is None:
        raise BundleError(
            "security profile 3 needs --certificates: make with profile 2, have the files of requests/ signed,"
            " make again with --earlier and --certificates"
        )
    if arguments.certificates is not None and arguments.earlier is None:
        raise BundleError("--certificates needs --earlier, the folder with the bundles whose keys they are for")
    options = files.Options(
        url=arguments.url,
        operator=arguments.operator,
        security_profile=arguments.security_profile,
        vendor=arguments.vendor,
        model=arguments.model,
        ca_pem=_pem(arguments.ca, "certificate", _roots),
        crl_pem=_pem(arguments.firmware_crl, "list of revoked certificates", certificates.revocation_lists),
        certified=arguments.certificates is not None,
    )
    key = bundle.load_private(arguments.key)
    secrets = _secrets(arguments, bornes, key)
    # Made whole or not at all: half a fleet with passwords that nobody noted is worse than none.
    with tempfile.TemporaryDirectory(dir=arguments.out.absolute().parent, prefix=".provision-") as folder:
        made = Path(folder) / "made"
        office = _Office(made, key, secrets, options, arguments.label_url)
        _write_all(office, bornes)
        made.rename(arguments.out)
    print(f"{arguments.out}: {len(bornes)} bundles, {points} labels, secrets.csv for the backend (keep it safe)")
    return 0


def _secrets(
    arguments: argparse.Namespace, bornes: Sequence[Borne], key: Ed25519PrivateKey
) -> dict[str, files.Secrets]:
    """New ones or those of an earlier run, by serial, with the certificate of each borne where they are given."""
    found, mistakes = {}, []
    for borne in bornes:
        try:
            kept = earlier.secrets(arguments.earlier, borne, key) if arguments.earlier else files.make_secrets()
            if arguments.certificates is not None:
                signed = earlier.certificate(arguments.certificates, borne, kept.client_key, time.time())
                kept = replace(kept, certificate=signed)
            found[borne.serial] = kept
        except BundleError as error:
            mistakes.append(f"line {borne.line}: {error}")
    if mistakes:
        raise FleetError(arguments.fleet, mistakes)
    return found


def _check_together(path: Path, bornes: Sequence[Borne]) -> None:
    """What the columns of a row say must fit each other as the borne itself will want it."""
    mistakes = []
    for borne in bornes:
        try:
            parse(files.configuration(borne, _ANY))
        except ConfigError as error:
            mistakes += [f"line {borne.line}: {mistake.path} {mistake.text}" for mistake in error.mistakes]
    if mistakes:
        raise FleetError(path, mistakes)


def _pem(path: Path | None, what: str, load: Callable[[str], Iterable[object]]) -> bytes | None:
    """The file, once it has been read as what it shall be: a borne would find out too late."""
    if path is None:
        return None
    try:
        text = path.read_text(encoding="utf-8")
        found = list(load(text))
    except ValueError as error:
        raise BundleError(f"{path} holds no {what} in PEM form that a borne can use: {error}") from error
    if not found:
        raise BundleError(f"{path} holds no {what} in PEM form")
    return text.encode()


def _roots(text: str) -> list[x509.Certificate]:
    """Raises BadCertificate for a root that a borne, which takes them in one after the other, would refuse."""
    found = certificates.read(text)
    for number, root in enumerate(found):
        try:
            certificates.check_root(root, found[:number], time.time(), early=True)
        except certificates.BadCertificate as error:
            raise certificates.BadCertificate(f"{root.subject.rfc4514_string()}: {error}") from error
    return found


def _write_all(office: _Office, bornes: Sequence[Borne]) -> None:
    for name in ("bundles", "labels", "requests"):
        (office.out / name).mkdir(parents=True)
    rows = io.StringIO()
    table = csv.writer(rows, lineterminator="\n")
    table.writerow(("serial", "identity", "ocpp_password", "console_pin"))
    for borne in bornes:
        kept = office.secrets[borne.serial]
        contents: dict[str, bytes | Path] = {**files.make(borne, office.options, kept)}
        manifest = Manifest("provision", borne.serial, "1", bundle.entries(contents))
        path = office.out / "bundles" / f"{borne.serial}.bundle"
        bundle.write(path, manifest, contents, office.key)
        path.chmod(0o600)
        request = contents["client.csr"]
        if isinstance(request, bytes):
            (office.out / "requests" / f"{borne.serial}.csr").write_bytes(request)
        labels.write(office.out / "labels", borne, office.label_target)
        table.writerow((borne.serial, borne.identity, kept.password, kept.console_pin))
    bundle.write_private(office.out / "secrets.csv", rows.getvalue().encode())


def _apply(arguments: argparse.Namespace) -> int:
    etc: Path = arguments.etc
    keys = bundle.trusted(etc / "trusted-keys")
    manifest = bundle.read_manifest(arguments.bundle, keys)
    if manifest.kind != "provision":
        raise BundleError(f"this is a bundle of kind {manifest.kind!r}, not a configuration")
    known = arguments.serial or _known_serial(etc)
    if known and manifest.borne != known:
        raise BundleError(f"the bundle is for borne {manifest.borne}; this is {known}")
    with tempfile.TemporaryDirectory(dir=etc, prefix=".apply-") as folder:
        if bundle.extract(arguments.bundle, keys, Path(folder)) != manifest:
            raise BundleError(f"{arguments.bundle.name} was exchanged for another bundle while it was laid out")
        parse((Path(folder) / "chargepoint.toml").read_text(encoding="utf-8"))
        # The serial last: a borne that has one is not configured again at its next start.
        last = ("chargepoint.toml", "serial")
        for name in sorted((entry.name for entry in manifest.files), key=lambda name: (name in last, name)):
            if name == "serial":
                sync_folder(etc)
                if arguments.take_away:
                    _take_away(arguments.bundle)
            _place(Path(folder) / name, etc / name)
        sync_folder(etc)
    print(f"borne {manifest.borne} is configured; it starts with this at the next start, or now: {BY_HAND}")
    return 0


def _take_away(path: Path) -> None:
    try:
        path.unlink()
        sync_folder(path.parent)
    except OSError as error:
        complain(f"{path} holds secrets and stays: {error}; remove it")


def _known_serial(etc: Path) -> str:
    """The serial the borne was given before; empty on a new one.

    The configuration tells it, too, when a power cut came before the file of the serial.
    """
    try:
        return (etc / "serial").read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        pass
    try:
        return parse((etc / "chargepoint.toml").read_text(encoding="utf-8")).station.serial
    except (FileNotFoundError, ConfigError):
        return ""


def _place(source: Path, target: Path) -> None:
    """Put a file into place: a secret readable by who needs it alone, any other by the services' group."""
    reader = _READER.get(source.name)
    source.chmod(_MODE if reader is None else 0o600)
    if os.geteuid() == 0:
        try:
            shutil.chown(source, reader or "root", GROUP)
        except LookupError:
            source.chmod(0o600)  # the package's users are not there: then root alone
    source.replace(target)
