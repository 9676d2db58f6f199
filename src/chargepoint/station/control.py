"""`<run_dir>/station.sock`: what the console, the command line and a technician may ask of the station."""

import sqlite3
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import structlog

from chargepoint.connectors import DOMESTIC, TYPE_2
from chargepoint.energy.limits import Limit
from chargepoint.evse.messages import Trace
from chargepoint.journal import history
from chargepoint.journal.stamp import as_datetime
from chargepoint.jsonrpc import Peer, RpcError, Server
from chargepoint.logs import raise_level
from chargepoint.station.api import Outcome, SecurityEvent, StopReason
from chargepoint.station.evse_link import LinkLost
from chargepoint.station.indicators import TEST_S
from chargepoint.station.point import Point
from chargepoint.station.station import Station
from chargepoint.station.view import rfc3339, station_status
from chargepoint.station.why import Surroundings, why

log = structlog.get_logger()
SOCKET_NAME = "station.sock"
TOKEN_MAX = 20
"""Characters of an id token (OCPP 1.6, 7.28)."""
_SENTENCES = {
    Outcome.REJECTED: "refused: there is nothing to do at this point now",
    Outcome.FAILED: "failed: the point did not do it in time",
    Outcome.NOT_SUPPORTED: "this point cannot do that",
    Outcome.UNKNOWN: "there is no such point",
}


class Control:
    """The methods of the station's control socket."""

    def __init__(self, station: Station, path: Path) -> None:
        self._station = station
        self._server = Server(
            path,
            {
                "status": self.status,
                "why": self.why,
                "connect": self.connect,
                "disconnect": self.disconnect,
                "unlock": self.unlock,
                "stop": self.stop,
                "start": self.start_session,
                "availability": self.availability,
                "limit": self.limit,
                "acknowledge": self.acknowledge,
                "self_test": self.self_test,
                "test_lamps": self.test_lamps,
                "test_buzzer": self.test_buzzer,
                "dump": self.dump,
                "trace": self.trace,
                "meters": self.meters,
                "meter_frames": self.meter_frames,
                "readers": self.readers,
                "tracks": self.tracks,
                "messages": self.messages,
                "history": self.history,
                "audit": self.audit,
                "log_level": self.log_level,
                "reset": self.reset,
                "subscribe": self.subscribe,
            },
        )

    async def start(self) -> None:
        """Listen. Raises `jsonrpc.SocketBusy` when another station does."""
        await self._server.start()

    async def close(self) -> None:
        await self._server.close()

    def _point(self, evse: int) -> Point:
        point = self._station.points.get(evse)
        if point is None:
            known = ", ".join(str(e) for e in self._station.points)
            raise RpcError(f"there is no point {evse}: this station has {known}")
        return point

    def _connector(self, point: Point, connector: int | None) -> None:
        if connector is not None and connector not in point.connectors:
            known = ", ".join(str(number) for number in point.connectors)
            raise RpcError(f"point {point.id} has no connector {connector}: it has {known}")

    def _answer(self, outcome: Outcome) -> dict[str, str]:
        if outcome in _SENTENCES:
            raise RpcError(_SENTENCES[outcome])
        return {"outcome": outcome.value}

    async def status(self) -> dict[str, Any]:
        shown = await station_status(self._station)
        for evse in shown["evses"]:
            evse["why"] = {lang: self.why(evse["id"], lang) for lang in ("en", "fr")}
        return shown

    def why(self, evse: int, lang: Literal["en", "fr"] | None = None, connector: int | None = None) -> str:
        station, point = self._station, self._point(evse)
        self._connector(point, connector)
        language = lang or station.config.station.language
        link = station.backend.status()
        around = Surroundings(
            faults=tuple(station.faults),
            refusal=station.entrance.refused.get(evse),
            offline=bool(station.config.ocpp.url) and not station.backend.online,
            trouble=str(link.get("trouble") or ("registration" if link.get("connected") else "")),
            away=station.uplink.detail(station.clock.monotonic()),
            badge_waits=any(evse in points for points in station.entrance.waiting),
        )
        return why(
            point,
            station.power,
            station.clock.monotonic(),
            any(evse == place for place, _ in station.in_service()),
            language,
            around,
            connector,
        )

    def connect(self) -> dict[str, bool]:
        self._station.backend.connect()
        return {"asked": True}

    async def disconnect(self) -> dict[str, bool]:
        await self._station.backend.disconnect()
        return {"asked": True}

    async def unlock(self, evse: int, connector: int = TYPE_2) -> dict[str, str]:
        self._connector(self._point(evse), connector)
        if connector == DOMESTIC:
            raise RpcError("nothing holds a plug in the domestic socket: `stop` ends its session")
        return self._answer(await self._station.unlock(evse, connector))

    async def stop(self, evse: int, connector: int | None = None) -> dict[str, str]:
        point = self._point(evse)
        self._connector(point, connector)
        if connector not in (None, point.session.connector):
            return self._answer(Outcome.REJECTED)
        return self._answer(await self._station.stop(evse, StopReason.LOCAL))

    async def start_session(self, evse: int, token: str, connector: int | None = None) -> dict[str, str]:
        self._connector(self._point(evse), connector)
        if not 1 <= len(token) <= TOKEN_MAX:
            raise RpcError(f"a token of {len(token)} characters cannot be told to the central system: give 1 to 20")
        return self._answer(await self._station.remote_start(token, evse, connector=connector))

    async def availability(self, evse: int, operative: bool, connector: int | None = None) -> dict[str, str]:
        if evse != 0:
            self._connector(self._point(evse), connector)
        return self._answer(await self._station.set_availability(evse, operative, connector))

    def limit(self, evse: int, amps: float | None = None, minutes: float = 60.0) -> dict[str, Any]:
        """A technician limits a point for some time, or (without `amps`) lets it go."""
        point, now = self._point(evse), self._station.clock.monotonic()
        if amps is None:
            return {"limited": False, "was": point.limits.clear("technician")}
        if not (0 <= amps <= 1000 and 0 < minutes <= 7 * 24 * 60):
            raise RpcError(f"{amps:g} A for {minutes:g} minutes is no limit: give 0 to 1000 A, and up to a week")
        point.limits.set(Limit("technician", "technician", amps, now, now + minutes * 60))
        log.info("limited by a technician", evse=evse, amps=amps, minutes=minutes)
        return {"limited": True}

    async def acknowledge(self, evse: int, fault: str) -> dict[str, Any]:
        """Faults of the station itself have evse 0; the others are for the safety process to judge."""
        if evse == 0 and self._station.acknowledge(fault):
            return {"ok": True, "detail": ""}
        if evse != 0:
            self._point(evse)
        return await self._request(self._station.link.acknowledge(evse, fault, 5.0))

    def trace(self, peer: Peer, evse: int, seconds: float = 10.0, interval: float = 0.1) -> dict[str, bool]:
        """Samples of the point's pins follow as notifications `sample`, for so many seconds (at most 600)."""
        self._point(evse)
        self._station.link.trace(
            Trace(evse, min(seconds, 600.0), max(interval, 0.02)),
            lambda sample: peer.notify("sample", sample),
        )
        return {"tracing": True}

    async def self_test(self, evse: int, what: str = "all") -> dict[str, Any]:
        self._point(evse)
        return await self._request(self._station.link.self_test(evse, what, 30.0))

    def test_lamps(self, evse: int) -> dict[str, Any]:
        """Show every lamp of the point in turn (red, green, blue, all, none: a second each), for some seconds."""
        self._station.test_lamps(self._point(evse))
        return {"ok": True, "seconds": TEST_S}

    def test_buzzer(self) -> dict[str, bool]:
        """Sound every row of tones of the buzzer, one after the other."""
        if not self._station.test_buzzer():
            raise RpcError("this borne has no buzzer; one that is fitted needs enabled = true in [buzzer]")
        return {"ok": True}

    async def dump(self, evse: int) -> dict[str, Any]:
        self._point(evse)
        return await self._request(self._station.link.dump(evse, 10.0))

    def meters(self) -> list[dict[str, Any]]:
        """The points' meters, and the last reading of each."""
        station, shown = self._station, []
        for section in station.config.evse:
            if section.meter is None:
                continue
            reading = station.meters.last(section.id)
            age = None if reading is None else round(station.clock.monotonic() - reading.at, 1)
            values = {} if reading is None else {k: v for k, v in asdict(reading).items() if k != "at"}
            known = {"evse": section.id, "model": section.meter.model, "unit": section.meter.unit}
            shown.append({**known, "answers": not station.meters.lost(section.id), "age": age, "reading": values})
        return shown

    def meter_frames(self, count: int = 20) -> list[dict[str, Any]]:
        """The last raw frames on the line of the points' meters, oldest first; `ago` in seconds."""
        station, now = self._station, self._station.clock.monotonic()
        return [
            {"ago": round(now - at, 3), "direction": "out" if sent else "in", "bytes": data.hex(" ")}
            for at, sent, data in station.meters.frames()[-max(1, count) :]
        ]

    def readers(self) -> list[dict[str, Any]]:
        """The badge readers, and the last badge of each."""
        station, now = self._station, self._station.clock.monotonic()
        shown = []
        for section in station.config.reader:
            trouble = station.readers.get(section.id)
            last = station.last_badges.get(section.id)
            badge = None if last is None else {"uid": last.uid.hex().upper(), "ago": round(now - last.at, 1)}
            shown.append(
                {
                    "id": section.id,
                    "kind": section.kind,
                    "port": station.config.reader_port(section),
                    "answers": trouble == "",
                    "trouble": trouble or "",
                    "last": badge,
                }
            )
        return shown

    def tracks(self) -> list[dict[str, Any]]:
        """The samples of the pictures that are not in the journal yet, each with its UTC seconds."""
        return [
            {"evse": row.evse, "tx": row.tx, "at": (row.stamp.utc or row.stamp.mono) + sample.t, "sample": sample}
            for row in self._station.health.tracks.waiting()
            for sample in row.samples
        ]

    def messages(self, count: int = 20) -> list[dict[str, str]]:
        """The last messages to and from the central system, redacted."""
        return self._station.backend.messages(count)

    async def history(self, limit: int = 50) -> list[dict[str, Any]]:
        """Faults as they came and went, and what technicians did; newest first, `at` null while the time is unknown."""
        found = await self._station.journal.read(lambda db: history.newest(db, max(1, min(limit, 500))))
        return [
            {
                "at": None if utc is None else rfc3339(as_datetime(utc)),
                "evse": event.evse,
                "name": event.name,
                "event": event.event,
                "detail": event.detail,
            }
            for utc, event in found
        ]

    async def audit(self, who: str, action: str, evse: int | None = None) -> dict[str, bool]:
        """Enter in the journal and the security log what a technician does, before it is done."""
        event = history.Event(self._station.clock.stamp(), evse or 0, action[:48], "audit", who)
        try:
            await self._station.journal.write(lambda db: history.add(db, event))
        except sqlite3.Error as error:
            raise RpcError(f"the journal does not take the entry, so it is not done: {error}") from error
        where = "" if evse is None else f", point {evse}"
        log.warning("technician", who=who, action=action, evse=evse)
        self._station.backend.notify(
            SecurityEvent("TechnicianAction", f"{action}{where} ({who})"[:255], self._station.clock.now())
        )
        return {"ok": True}

    def log_level(self, level: Literal["debug", "info", "warning", "error"], seconds: float) -> dict[str, bool]:
        """Log more, or less, for a limited time."""
        raise_level(level, seconds)
        return {"ok": True}

    async def reset(self, hard: bool = False) -> dict[str, str]:
        """End the sessions and start the process again."""
        return self._answer(await self._station.reset(hard))

    async def _request(self, request: Any) -> dict[str, Any]:
        try:
            done = await request
        except LinkLost as error:
            raise RpcError(str(error)) from error
        if not done.ok:
            raise RpcError(done.detail or "the safety process refused")
        return {"ok": True, "detail": done.detail}

    def subscribe(self, peer: Peer) -> dict[str, bool]:
        """Events follow as notifications `event`, each with its `kind`."""
        end = self._station.subscribe(lambda kind, what: peer.notify("event", {"kind": kind, **what}))
        peer.on_close(end)
        return {"subscribed": True}
