"""The files of one borne: configuration, secrets, keys with their certificate request."""

import secrets
from dataclasses import dataclass

from chargepoint.config_check import parse
from chargepoint.console import access
from chargepoint.ocpp import certificates
from chargepoint.provision.fleet import Borne, Controller

ETC = "/etc/chargepoint"
_PASSWORD_BYTES = 20
"""OCPP 1.6 security white paper, A00: a password of 16 to 20 bytes; in hexadecimal, 40 characters."""
ROTATIONS = ("RST", "STR", "TRS")
"""Of the points in turn, so that one-phase cars load different phases."""


@dataclass(frozen=True, slots=True)
class Options:
    """What is the same for the whole fleet."""

    url: str
    operator: str
    security_profile: int = 2
    vendor: str = "chargepoint"
    model: str = "Borne"
    ca_pem: bytes | None = None
    """Authority of the central system's certificate."""
    crl_pem: bytes | None = None
    """Lists of the manufacturer's revoked firmware signing certificates."""
    certified: bool = False
    """Each borne gets the certificate of its key."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """What the office must keep about a borne."""

    password: str
    console_pin: str
    client_key: str
    """PEM; its request has the common name and the organisation that security profile 3 wants."""
    certificate: str = ""
    """PEM, the chain of `client_key` once it is signed."""


def make_secrets() -> Secrets:
    """A new password, a new key, and a new PIN of six digits that nobody guesses at once."""
    while True:
        pin = f"{secrets.randbelow(1_000_000):06d}"
        try:
            access.judge(pin)
        except access.BadPin:
            continue
        return Secrets(secrets.token_hex(_PASSWORD_BYTES), pin, certificates.new_key())


def make(borne: Borne, options: Options, kept: Secrets) -> dict[str, bytes]:
    """File name below /etc/chargepoint to content. The configuration is read back before it is given out."""
    text = configuration(borne, options)
    parse(text)
    files = {
        "chargepoint.toml": text.encode(),
        "serial": f"{borne.serial}\n".encode(),
        "ocpp-password": kept.password.encode(),
        "console-pin": f"{access.hashed(kept.console_pin)}\n".encode(),
        "client-key.pem": kept.client_key.encode(),
        "client.csr": certificates.request(kept.client_key, borne.serial, options.operator).encode(),
    }
    if kept.certificate:
        files["client.pem"] = kept.certificate.encode()
    if options.ca_pem is not None:
        files["csms-ca.pem"] = options.ca_pem
    if options.crl_pem is not None:
        files["firmware-crl.pem"] = options.crl_pem
    return files


def configuration(borne: Borne, options: Options) -> str:
    """The borne's chargepoint.toml."""
    lines = [
        f"# {borne.commune}. Made by `chargepoint provision`.",
        "[station]",
        f"id = {_quoted(borne.identity)}",
        f"vendor = {_quoted(options.vendor)}",
        f"model = {_quoted(options.model)}",
        f"serial = {_quoted(borne.serial)}",
        "",
        "[supply]",
        f"phases = {borne.phases}",
        f"max_current = {borne.supply_a:g}",
        "",
        "[board]",
        f"kind = {_quoted(_board(borne))}",
        "",
        "[meter_bus]",
        'port = "/dev/chargepoint-meters"',
        "",
        "[[reader]]",
        "id = 1",
        'port = "/dev/chargepoint-reader"',
    ]
    for number, point in enumerate(borne.points, start=1):
        rotation = ROTATIONS[(number - 1) % 3]
        lines += [
            "",
            "[[evse]]",
            f"id = {number}",
            f"evse_id = {_quoted(point.evse_id)}",
            f"max_current = {min(32.0, borne.supply_a):g}",
            f"phases = {borne.phases}",
            f"phase_rotation = {_quoted(rotation if borne.phases == 3 else rotation[0])}",
            f"socket = {'false' if point.socket == 'cable' else 'true'}",
            f"meter = {{ model = {_quoted(point.meter)}, unit = {point.unit} }}",
        ]
        if point.controller is not None:
            lines.append(f"controller = {_controller(point.controller)}")
        if point.socket == "T2+EF":
            lines += ["[evse.domestic]", f"phase = {_quoted(rotation[0])}"]
    lines += [
        "",
        "[ocpp]",
        f"url = {_quoted(options.url)}",
        f"security_profile = {options.security_profile}",
        f'password_file = "{ETC}/ocpp-password"',
    ]
    if options.ca_pem is not None:
        lines.append(f'csms_ca_file = "{ETC}/csms-ca.pem"')
    if options.crl_pem is not None:
        lines.append(f'firmware_crl_file = "{ETC}/firmware-crl.pem"')
    if options.certified:
        lines += [f'client_certificate_file = "{ETC}/client.pem"', f'client_key_file = "{ETC}/client-key.pem"']
    return "\n".join(lines) + "\n"


def _board(borne: Borne) -> str:
    return "modbus-pilot" if any(point.controller for point in borne.points) else "raspberry-pi"


def _controller(controller: Controller) -> str:
    """The table of an external pilot controller; what is not said is as the maker delivers it."""
    keys = [f"model = {_quoted(controller.model)}"]
    if controller.device:
        keys.append(f"device = {_quoted(controller.device)}")
    else:
        keys.append(f"host = {_quoted(controller.host)}")
    if controller.port is not None:
        keys.append(f"port = {controller.port}")
    if controller.unit is not None:
        keys.append(f"unit = {controller.unit}")
    return "{ " + ", ".join(keys) + " }"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
