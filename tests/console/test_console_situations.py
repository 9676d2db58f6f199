"""Twelve situations in front of a borne: the first line of `why` names the true cause, in both languages.

The transcripts stand in `docs/console.md`; `WRITE_TRANSCRIPTS=1 pytest` on this file writes them anew.
"""

import asyncio
import os
import re
import signal
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from console_rig import BAD_BADGE, GOOD_BADGES, Rig, Terminal
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PAGE = Path(__file__).parents[2] / "docs" / "console.md"
MARK = "## Twelve situations\n"
PROMPT = "BORNE-1> "

Transcript = dict[str, list[str]]


class Person:
    """Asks the console and keeps what it said, language by language."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self.seen: dict[str, Transcript] = {}

    async def asks(self, situation: str, evse: int, only_first: bool = False) -> None:
        self.seen[situation] = {}
        for lang in ("fr", "en"):
            await self._terminal.command(f"lang {lang}")
            said = await self._terminal.command(f"why {evse}")
            shown = "\n".join(self._terminal.screen.display)
            assert said[0][:60] in shown, "a person would not have seen it"
            lines = said[:1] if only_first else said
            self.seen[situation][lang] = [f"{PROMPT}why {evse}", *(normal(line) for line in lines)]


def normal(line: str) -> str:
    """Without what differs from run to run."""
    line = re.sub(r"/\S*/run/", "/run/chargepoint/", line)
    return re.sub(r"\d+(,\d)?( A (sur|of) )", r"32\2", line)


@asynccontextmanager
async def at_the_borne(
    root: Path, *processes: str, edit: Callable[[str], str] = str
) -> AsyncIterator[tuple[Rig, Person]]:
    rig = Rig(root)
    terminal = Terminal("console", "-c", str(rig.config))
    try:
        await rig.start(*processes, edit=edit)
        await rig.connect()
        await terminal.start()
        await terminal.until(lambda: terminal.raw.endswith(PROMPT.encode()), "the prompt")
        yield rig, Person(terminal)
        assert terminal.process is not None
        assert terminal.process.returncode is None
    finally:
        await terminal.close()
        await rig.close()


async def charge(rig: Rig, evse: int, status: str, **car: object) -> None:
    await rig.sim("plug", evse=evse, **car)
    await rig.until_status(evse, "Preparing")
    await rig.sim("badge", uid=GOOD_BADGES[evse])
    await rig.until_status(evse, status)


async def with_a_working_borne(root: Path) -> dict[str, Transcript]:
    async with at_the_borne(root) as (rig, person):
        await rig.until_status(1, "Available")
        await rig.until_status(2, "Available")
        await rig.central.wait_connected()

        await charge(rig, 1, "Preparing", wants_energy=False)
        await rig.until(lambda: says(rig, 1, "ne demande pas"), "the sleeping car")
        await person.asks("The car sleeps", 1)
        await rig.clear(1)

        booking = {"connectorId": 2, "expiryDate": "2099-01-01T00:00:00Z", "idTag": "SOMEBODY", "reservationId": 1}
        assert (await rig.central.call("ReserveNow", booking))["status"] == "Accepted"
        await rig.until_status(2, "Reserved")
        await person.asks("The point is reserved", 2)
        await rig.central.call("CancelReservation", {"reservationId": 1})

        await charge(rig, 2, "Charging")
        await rig.sim("fault", name="residual-current", evse=2)
        await rig.until_fault("residual-current")
        await person.asks("The residual current device tripped", 2)

        assert (await rig.central.call("SetChargingProfile", ZERO_PROFILE))["status"] == "Accepted"
        await charge(rig, 1, "SuspendedEVSE")
        await person.asks("A charging profile of 0 A", 1)
        await rig.central.call("ClearChargingProfile", {})
        await rig.clear(1)

        await rig.sim("fault", name="reader-silent")
        await rig.sim("plug", evse=1)
        await rig.until_fault("reader-lost")
        await person.asks("The badge reader is dead", 1)
        await rig.sim("fault", name="reader-silent", on=False)
        await rig.until_no_fault("reader-lost")

        await rig.sim("badge", uid=BAD_BADGE)
        await rig.until(lambda: says(rig, 1, "04…01"), "the refusal")
        await person.asks("The central system refuses the badge", 1)
        await rig.clear(1)

        return person.seen


async def says(rig: Rig, evse: int, words: str) -> bool:
    return words in await rig.ask("why", evse=evse)


ZERO_PROFILE = {
    "connectorId": 1,
    "csChargingProfiles": {
        "chargingProfileId": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Relative",
        "chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 0}]},
    },
}


async def with_a_broken_borne(root: Path) -> dict[str, Transcript]:
    async with at_the_borne(root, "sim serve", "evse", "station") as (rig, person):
        await rig.until_status(1, "Available")
        await rig.sim("fault", name="lock-jam", evse=1)
        await rig.sim("plug", evse=1)
        await rig.until_status(1, "Preparing")
        await rig.sim("badge", uid=GOOD_BADGES[1])
        await rig.until_fault("lock-jam")
        await person.asks("The lock is jammed", 1)

        await rig.sim("fault", name="meter-silent", evse=2)
        await rig.until_fault("meter-lost")
        await person.asks("The energy meter is dead", 2)

        await rig.sim("fault", name="pp-open", evse=2)
        await rig.sim("plug", evse=2)
        await rig.until_fault("pp-open")
        await person.asks("The proximity contact is broken", 2)

        station = rig.processes[2]
        station.send_signal(signal.SIGKILL)
        await station.wait()
        await person.asks("The station has crashed", 2, only_first=True)
        return person.seen


async def with_a_doubtful_certificate(root: Path) -> dict[str, Transcript]:
    authority, late, early = certificates(root)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(late)
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    (root / "password").write_text("secret-secret-secret")

    def edit(text: str) -> str:
        text = re.sub(r'url = "[^"]*"', f'url = "wss://localhost:{port}/ocpp"', text)
        files = f'csms_ca_file = "{authority}"\npassword_file = "{root}/password"'
        return text.replace("security_profile = 0", f"security_profile = 2\n{files}")

    async with server, at_the_borne(root / "c", edit=edit) as (rig, person):
        await rig.sim("plug", evse=1)
        await rig.until(lambda: says(rig, 1, "expiré"), "the expired certificate")
        await person.asks("The central system's certificate has expired", 1)
        context.load_cert_chain(early)

        async def early_seen() -> bool:
            await rig.ask("connect")
            return await says(rig, 1, "pas encore valable")

        await rig.until(early_seen, "the certificate of the future")
        await person.asks("The clock is wrong", 1)
        return person.seen


def certificates(root: Path) -> tuple[Path, Path, Path]:
    """An authority, a server's certificate that has expired, and one that is not yet valid (as with a late clock)."""
    now = datetime.now(UTC)
    authority_key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])

    def make(
        name: x509.Name, key: ec.EllipticCurvePrivateKey, begins: datetime, ends: datetime, is_authority: bool
    ) -> bytes:
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(issuer).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(begins).not_valid_after(ends)
        builder = builder.add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        if not is_authority:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        return builder.sign(authority_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    days = timedelta(days=1)
    (root / "ca.pem").write_bytes(make(issuer, authority_key, now - 900 * days, now + 900 * days, True))
    files = []
    for name, begins, ends in (("late", now - 90 * days, now - days), ("early", now + 30 * days, now + 90 * days)):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        plain = serialization.NoEncryption()
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        file = root / f"{name}.pem"
        file.write_bytes(pem + make(subject, key, begins, ends, False))
        files.append(file)
    return root / "ca.pem", files[0], files[1]


def page(seen: dict[str, Transcript]) -> str:
    """The section of the documentation."""
    parts = [MARK, "\nWhat the console says, in French and in English; each one is played by a test.\n"]
    for situation, said in seen.items():
        blocks = "\n\n".join("\n".join(lines) for lines in said.values())
        parts.append(f"\n### {situation}\n```\n{blocks}\n```\n")
    return "".join(parts)


CAUSES = {
    "The car sleeps": "car does not ask for current",
    "The point is reserved": "reserved",
    "The residual current device tripped": "esidual current",
    "A charging profile of 0 A": "profile allows 0 A",
    "The badge reader is dead": "badge reader does not answer",
    "The central system refuses the badge": "refused by the central system",
    "The lock is jammed": "plug cannot be locked",
    "The energy meter is dead": "energy meter does not answer",
    "The proximity contact is broken": "coding resistor is not seen",
    "The station has crashed": "business process is not running",
    "The central system's certificate has expired": "certificate has expired",
    "The clock is wrong": "is the clock wrong?",
}


@pytest.mark.asyncio
async def test_why_names_the_true_cause_first_in_twelve_situations(tmp_path: Path) -> None:
    plays = (
        with_a_working_borne(tmp_path / "a"),
        with_a_broken_borne(tmp_path / "b"),
        with_a_doubtful_certificate(tmp_path),
    )
    seen = {situation: said for part in await asyncio.gather(*plays) for situation, said in part.items()}
    assert set(seen) == set(CAUSES)
    for situation, words in CAUSES.items():
        assert words in seen[situation]["en"][1], situation
        assert seen[situation]["fr"][1] != seen[situation]["en"][1]
    text = PAGE.read_text()
    if os.environ.get("WRITE_TRANSCRIPTS"):
        PAGE.write_text(text.split(MARK)[0].rstrip() + "\n\n" + page(seen))
    else:
        assert text.endswith(page(seen)), "WRITE_TRANSCRIPTS=1 writes the page anew"
