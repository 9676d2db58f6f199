"""A journal that a newer version wrote before it was taken back: what it added stops nothing, and is not lost."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import pytest
from conftest import FakeStation, config
from structlog.testing import capture_logs

from chargepoint.journal import store
from chargepoint.journal.journal import Journal
from chargepoint.journal.outbox import Entry
from chargepoint.journal.stamp import Stamp
from chargepoint.ocpp import security_log
from chargepoint.ocpp.access import Access, Credentials
from chargepoint.ocpp.queue import Outgoing, Sample
from chargepoint.ocpp.truststore import Identity, Root, TrustStore, Use
from chargepoint.ocpp.v16.backend import Backend
from chargepoint.ocpp.v16.connectors import Connectors
from chargepoint.ocpp.v16.firmware import Job
from chargepoint.ocpp.v16.outgoing import request
from chargepoint.station.clock import Clock

pytestmark = pytest.mark.asyncio
COMMITTED, CANDIDATE = Credentials(2, "k" * 16), Credentials(2, "c" * 16)
ROOT = Root(Use.CENTRAL_SYSTEM, "a root", ({"serial": "1"},), 9.0)
IDENTITY = Identity("a chain", "a key", 1.0, 9.0)
JOB = Job("https://files.example/1", 0.0, request_id=7, phase="over", status="Installed", closed=((1, 1),))


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal.open(tmp_path / "chargepoint.db", "boot-1")
    yield journal
    journal.close()


def backend_of(journal: Journal, folder: Path) -> Backend:
    return Backend(config("ws://nowhere", folder), journal, Clock(journal.boot), FakeStation(), None)


async def kept(journal: Journal) -> None:
    """Something in every area of this room."""

    def write(db) -> None:
        store.put(db, "access", "committed", asdict(COMMITTED))
        store.put(db, "access", "candidate", asdict(CANDIDATE))
        store.put(db, "access", "provisioned", {"profile": 0, "key": "of the configuration"})
        store.put(db, "certificates", "roots", [asdict(ROOT)])
        store.put(db, "certificates", "identities", [asdict(IDENTITY)])
        store.put(db, "firmware", "job", asdict(JOB))
        store.put(db, "firmware", "last-status", ["Installed", 7])
        store.put(db, "settings", "HeartbeatInterval", "77")
        security_log.append(db, Stamp(journal.boot, 1.0, 1.0), "InvalidFirmwareSignature", "")

    await journal.write(write)


async def extended(journal: Journal) -> None:
    """As a newer version would have: one more field in each record, one more record in each area."""

    def write(db) -> None:
        more = "json('{\"form\": 2}')"
        db.execute(f"UPDATE store SET value = json_set(value, '$.later', {more}) WHERE json_type(value) = 'object'")
        db.execute(f"UPDATE store SET value = json_set(value, '$[0].later', {more}) WHERE area = 'certificates'")
        db.execute("UPDATE store SET value = json_insert(value, '$[#]', 1) WHERE key = 'last-status'")
        db.execute("INSERT INTO store SELECT DISTINCT area, 'later', '{\"form\": 2}' FROM store")

    await journal.write(write)


async def test_every_area_that_a_newer_version_has_extended_is_read(journal: Journal, tmp_path: Path) -> None:
    await kept(journal)
    await extended(journal)
    backend = backend_of(journal, tmp_path)
    await backend.load()
    assert backend._firmware.signed_status().status == "Idle"  # after Installed
    assert backend._firmware._job == JOB
    access, trust = Access(journal), TrustStore(journal)
    await access.load(Credentials(0))
    assert (access.profile, access.key) == (CANDIDATE.profile, CANDIDATE.key)
    await trust.load("", 5.0)
    assert (trust.roots(Use.CENTRAL_SYSTEM), trust._identities) == ([ROOT], [IDENTITY])
    await journal.write(
        lambda db: security_log.append(db, Stamp(journal.boot, 2.0, 2.0), "InvalidFirmwareSignature", "")
    )
    assert len(await journal.read(lambda db: security_log.read(db, 0.0, 9.0))) == 2


async def test_a_record_that_lacks_what_it_must_have_is_as_if_it_were_not_there_and_told(
    journal: Journal, tmp_path: Path
) -> None:
    await kept(journal)

    def spoil(db) -> None:
        store.put(db, "access", "committed", {"key": "k" * 16})
        store.put(db, "certificates", "roots", [{"pem": "x"}, {**asdict(ROOT), "use": "Grid"}, asdict(ROOT)])
        store.put(db, "certificates", "identities", ["x"])
        store.put(db, "firmware", "job", {"closed": [[1, 1]]})
        store.put(db, "firmware", "last-status", ["Polished", 7])

    await journal.write(spoil)
    with capture_logs() as said:
        backend = backend_of(journal, tmp_path)
        await backend.load()
    assert {one.get("what") for one in said} >= {
        "credentials", "a root certificate", "a certificate of ours", "the update that was under way",
    }  # fmt: skip
    job = backend._firmware._job
    assert job is not None and (job.phase, job.closed) == ("over", ((1, 1),)), "the points come back"
    assert backend._firmware._untold is None
    access, trust = Access(journal), TrustStore(journal)
    await access.load(Credentials(1, "g" * 16))
    assert access.profile == 1
    await trust.load("", 5.0)
    assert trust.roots(Use.CENTRAL_SYSTEM) == [ROOT]


async def test_the_end_of_a_transaction_is_told_in_spite_of_values_and_a_reason_of_a_newer_version() -> None:
    at = datetime(2026, 3, 1, 12, tzinfo=UTC)
    value = {"measurand": "Voltage", "value": 230.0, "unit": "V", "accuracy": 0.5}
    payload = {"evse": 1, "token": None, "meter_stop_wh": 200, "reason": "Eclipse", "data": []}
    message = Outgoing(Entry(1, "ended", 5, Stamp(1, 0.0, 0.0), payload, 0), at, "77", (Sample(at, [value]),))
    stop = request(message, Connectors((1, 2)))
    assert stop.reason == "Other"
    assert stop.transaction_data[0]["sampledValue"][0]["value"] == "230"
