"""Mutated OCPP-J frames in both directions: calls to the charge point, and answers to its own calls.

    ./dev run python bench/fuzz_ocpp.py [FRAMES] [SEED]              # 200,000 frames by default
    ./dev run python bench/fuzz_ocpp.py --whole [FRAMES] [SEED]      # 20,000, against the whole program

A real `Backend` with its journal talks over a real WebSocket to a server that sends nothing right. It must answer
what can be answered and go on; afterwards a plain question is answered and a plain call succeeds. With `--whole` it is
the program as `chargepoint run` starts it, on a simulated borne: no process may end, and the next car is charged.
"""

import asyncio
import contextlib
import copy
import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import structlog
from websockets.asyncio.server import ServerConnection, serve

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "e2e"))
from common import save, table
from harness import Borne, children
from stub_station import StubStation, stub_config

from chargepoint.journal.journal import Journal
from chargepoint.ocpp.v16.backend import Backend
from chargepoint.station.api import BackendUnreachable
from chargepoint.station.clock import Clock

NOW = "2026-01-01T00:00:00Z"
PROFILE = {
    "chargingProfileId": 1,
    "stackLevel": 0,
    "chargingProfilePurpose": "TxDefaultProfile",
    "chargingProfileKind": "Absolute",
    "chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.0}]},
}
CALLS: list[tuple[str, dict[str, Any]]] = [
    ("CancelReservation", {"reservationId": 1}),
    ("CertificateSigned", {"certificateChain": "-----BEGIN CERTIFICATE-----"}),
    ("ChangeAvailability", {"connectorId": 1, "type": "Operative"}),
    ("ChangeConfiguration", {"key": "MeterValueSampleInterval", "value": "60"}),
    ("ClearCache", {}),
    ("ClearChargingProfile", {"id": 1, "connectorId": 1}),
    ("DataTransfer", {"vendorId": "v", "data": "d"}),
    (
        "DeleteCertificate",
        {
            "certificateHashData": {
                "hashAlgorithm": "SHA256",
                "issuerNameHash": "a",
                "issuerKeyHash": "b",
                "serialNumber": "1",
            }
        },
    ),
    ("ExtendedTriggerMessage", {"requestedMessage": "Heartbeat"}),
    ("GetCompositeSchedule", {"connectorId": 1, "duration": 60}),
    ("GetConfiguration", {"key": ["HeartbeatInterval"]}),
    ("GetInstalledCertificateIds", {"certificateType": "CentralSystemRootCertificate"}),
    ("GetLocalListVersion", {}),
    ("InstallCertificate", {"certificateType": "ManufacturerRootCertificate", "certificate": "x"}),
    ("RemoteStartTransaction", {"idTag": "TAG", "connectorId": 1, "chargingProfile": PROFILE}),
    ("RemoteStopTransaction", {"transactionId": 1}),
    ("ReserveNow", {"connectorId": 1, "expiryDate": NOW, "idTag": "TAG", "reservationId": 1}),
    ("Reset", {"type": "Soft"}),
    (
        "SendLocalList",
        {
            "listVersion": 1,
            "updateType": "Full",
            "localAuthorizationList": [{"idTag": "A", "idTagInfo": {"status": "Accepted", "expiryDate": NOW}}],
        },
    ),
    ("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": PROFILE}),
    ("TriggerMessage", {"requestedMessage": "StatusNotification", "connectorId": 1}),
    ("UnlockConnector", {"connectorId": 1}),
    ("Heartbeat", {}),
    ("NoSuchAction", {"a": 1}),
]
ANSWERS: dict[str, dict[str, Any]] = {
    "BootNotification": {"status": "Accepted", "currentTime": NOW, "interval": 300},
    "Heartbeat": {"currentTime": NOW},
    "Authorize": {"idTagInfo": {"status": "Accepted", "expiryDate": NOW, "parentIdTag": "P"}},
    "StartTransaction": {"transactionId": 1, "idTagInfo": {"status": "Accepted"}},
    "StopTransaction": {"idTagInfo": {"status": "Accepted"}},
}
GOOD_ANSWERS = ANSWERS | {"Authorize": {"idTagInfo": {"status": "Accepted"}}}
ACTING = ("Reset", "ChangeAvailability", "ReserveNow", "UnlockConnector", "RemoteStartTransaction")
"""What would end or occupy the borne, as it should; left out of a run against the whole program."""
PATIENCE = 25
"""So often a question may be refused because too many calls before it are still being worked on."""
WINDOW = 16
"""Frames that are sent to the whole program before it is given time: more at once, and it drops the surplus."""
STRANGE: list[Any] = [
    None, True, False, 0, -1, 1.5, 1e308, 10**30, "", "\ud800", "x" * 3000, [], {}, [[[[]]]], {"": None}, "0", "NaN",
    "2026-13-45T99:99:99Z", "Accepted", ["a"], {"a": {"b": {"c": []}}}, "\x00", "'; DROP TABLE tx;--", "%s%n", "../..",
]  # fmt: skip


class Mutator:
    """Breaks frames in a reproducible way."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def frame(self, frame: list[Any]) -> str:
        """A broken text of a good frame; now and then the good one."""
        choice = self._random.random()
        if choice < 0.05:
            return json.dumps(frame)
        if choice < 0.6:
            frame = json.loads(json.dumps(frame))
            for _ in range(self._random.randint(1, 3)):
                self._graft(frame)
            return json.dumps(frame)
        return self._scramble(json.dumps(frame))

    def _strange(self) -> Any:
        return copy.deepcopy(self._random.choice(STRANGE))

    def _graft(self, frame: list[Any]) -> None:
        place: Any = frame
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                return
            key = self._random.choice(keys)
            inner = place[key]
            if isinstance(inner, dict | list) and inner and self._random.random() < 0.7:
                place = inner
                continue
            what = self._random.random()
            if what < 0.5:
                place[key] = self._strange()
            elif what < 0.75:
                del place[key]
            elif isinstance(place, dict):
                place[str(key) + "X"] = self._strange()
            else:
                place.insert(key, self._strange())
            return

    def _scramble(self, text: str) -> str:
        for _ in range(self._random.randint(1, 4)):
            at = self._random.randrange(len(text) + 1)
            what = self._random.random()
            if what < 0.3:
                text = text[:at] + text[at + self._random.randint(1, 20) :]
            elif what < 0.6:
                text = text[:at] + self._random.choice('{}[]",:\\0123456789eE-.nulltrue\u2028é') + text[at:]
            elif what < 0.8:
                text = text[:at] + text[max(0, at - self._random.randint(1, 30)) :]
            else:
                text = text[:at]
        return text


class Server:
    """The other side: breaks its calls and its answers, and counts what comes back."""

    def __init__(self, frames: int, seed: int, calls: list[tuple[str, dict[str, Any]]] = CALLS) -> None:
        self.frames = frames
        self.calls = calls
        self.window = 0
        """If given: after so many frames, the answer to a plain question is awaited."""
        self.mutator = Mutator(seed)
        self.random = random.Random(seed + 1)
        self.sent = 0
        self.counts: Counter[str] = Counter()
        self.done = asyncio.Event()
        self.proof: asyncio.Future[Any] | None = None
        self.calm = False
        self.failure: BaseException | None = None

    async def __call__(self, connection: ServerConnection) -> None:
        calls = asyncio.create_task(self._call(connection))
        calls.add_done_callback(self._over)
        async for message in connection:
            frame = json.loads(message)
            if frame[0] == 2:
                await self._answer(connection, frame)
            else:
                self.counts["results" if frame[0] == 3 else frame[2]] += 1
                if frame[1] == "proof" and self.proof is not None and not self.proof.done():
                    self.proof.set_result(frame)
                    self.counts["results"] -= 1
        calls.cancel()

    def _over(self, calls: asyncio.Task[None]) -> None:
        """All sent, or a question was not answered: then the run has failed, and is not waited for."""
        if not calls.cancelled():
            self.failure = calls.exception()
            self.done.set()

    async def _answer(self, connection: ServerConnection, frame: list[Any]) -> None:
        answer = [3, frame[1], GOOD_ANSWERS.get(frame[2], {}) if self.calm else ANSWERS.get(frame[2], {})]
        if not self.calm and frame[2] != "BootNotification":
            broken = [4, frame[1], "GenericError", "", {}] if self.random.random() < 0.2 else answer
            await connection.send(self.mutator.frame(broken))
            self.sent += 1
        await connection.send(json.dumps(answer))

    async def _call(self, connection: ServerConnection) -> None:
        while self.sent < self.frames:
            action, payload = self.random.choice(self.calls)
            await connection.send(self.mutator.frame([2, f"q{self.sent}", action, payload]))
            self.sent += 1
            if self.window and self.sent % self.window == 0:
                await self.prove(connection, "GetLocalListVersion", {})
            elif self.sent % 20 == 0:
                await asyncio.sleep(0)
        self.calm = True

    async def prove(self, connection: ServerConnection, action: str, payload: dict[str, Any]) -> None:
        """A good call is answered, or refused for the many before it and then answered. Raises TimeoutError or
        AssertionError."""
        for _ in range(PATIENCE):
            self.proof = asyncio.get_running_loop().create_future()
            await connection.send(json.dumps([2, "proof", action, payload]))
            frame = await asyncio.wait_for(self.proof, 30)
            if frame[0] == 3:
                return
            assert frame[0] == 4 and "send one at a time" in frame[3], frame
            await asyncio.sleep(0.2)
        raise AssertionError(f"refused {PATIENCE} times")


async def fuzz(frames: int, seed: int, directory: Path) -> dict[str, Any]:
    """Send so many broken frames; returns what happened. Raises AssertionError when the backend did not stand it."""
    server = Server(frames, seed)
    journal = Journal.open(directory / "chargepoint.db", "boot")
    try:
        async with serve(server, "127.0.0.1", 0, subprotocols=["ocpp1.6"], ping_interval=None) as listening:  # type: ignore[list-item]
            port = next(iter(listening.sockets)).getsockname()[1]
            station = StubStation()
            backend = Backend(stub_config(f"ws://127.0.0.1:{port}", directory), journal, Clock(journal.boot), station)
            running = asyncio.create_task(backend.run())
            began = time.monotonic()
            talking = asyncio.create_task(_talk(backend))
            await asyncio.wait(
                {asyncio.ensure_future(server.done.wait()), talking, running}, return_when="FIRST_COMPLETED"
            )
            assert not talking.done(), talking.exception()
            assert server.failure is None, repr(server.failure)
            talking.cancel()
            took = time.monotonic() - began
            await asyncio.sleep(0.5)
            (connection,) = listening.connections
            await server.prove(connection, "GetLocalListVersion", {})
            assert (await backend.authorize("TAG")).accepted
            assert not running.done(), running.exception()
            assert sum(server.counts.values()) <= server.sent + 1, "more answers than calls"
            running.cancel()
            await asyncio.gather(running, talking, return_exceptions=True)
    finally:
        journal.close()
    return {"frames": server.sent, "seconds": round(took, 1), **server.counts}


async def _talk(backend: Backend) -> None:
    """Calls of our own all the while, so that there are answers to be broken."""
    while True:
        with contextlib.suppress(BackendUnreachable):
            await backend.authorize("TAG")
        await asyncio.sleep(0)


async def fuzz_whole(frames: int, seed: int) -> dict[str, Any]:
    """The same against the whole program, which must charge a car in the end with the processes it began with."""
    server = Server(frames, seed, [call for call in CALLS if call[0] not in ACTING])
    server.window = WINDOW
    async with serve(server, "127.0.0.1", 0, subprotocols=["ocpp1.6"], ping_interval=None) as listening:  # type: ignore[list-item]
        borne = Borne(f"ws://127.0.0.1:{next(iter(listening.sockets)).getsockname()[1]}")
        try:
            await borne.start()
            before, kib = children(borne.processes["run"].pid), _resident_kib(borne.child("station"))
            began = time.monotonic()
            await asyncio.wait_for(server.done.wait(), 60 + frames / 20)
            assert server.failure is None, f"after {server.sent} frames: {server.failure!r}"
            took = time.monotonic() - began
            (connection,) = listening.connections
            await server.prove(connection, "ClearChargingProfile", {})
            await borne.sim("plug", evse=1)
            await borne.until_status(1, "Preparing", "Charging")
            await borne.sim("badge", uid="04A1B2C3D4E5F6")
            await borne.until_status(1, "Charging", timeout_s=60)
            assert children(borne.processes["run"].pid) == before, "a process was started anew"
            grown = _resident_kib(borne.child("station")) - kib
        finally:
            await borne.stop()
            borne.remove()
    assert sum(server.counts.values()) <= server.sent, "more answers than calls"
    return {"frames": server.sent, "seconds": round(took, 1), "station grew KiB": grown, **server.counts}


def _resident_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def main(whole: bool, frames: int, seed: int) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    if whole:
        rows = [asyncio.run(fuzz_whole(frames, seed))]
    else:
        with tempfile.TemporaryDirectory() as directory:
            rows = [asyncio.run(fuzz(frames, seed, Path(directory)))]
    where = "the whole program" if whole else "the backend"
    table(f"{frames} broken frames to {where}, seed {seed}", rows)
    save("fuzz_ocpp_whole" if whole else "fuzz_ocpp", rows)


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != "--whole"]
    is_whole = "--whole" in sys.argv
    standard = 20_000 if is_whole else 200_000
    main(is_whole, int(words[0]) if words else standard, int(words[1]) if len(words) > 1 else 1)
