"""What `status` shows: everything a technician or a program wants to see of the station, in one answer."""

from datetime import UTC, datetime
from typing import Any

from chargepoint import __version__
from chargepoint.connectors import DOMESTIC, KINDS
from chargepoint.evse.messages import PointReport
from chargepoint.journal.stamp import as_datetime
from chargepoint.station.connectors import Connector, plugged
from chargepoint.station.faultlist import Active, FaultList
from chargepoint.station.point import Point
from chargepoint.station.station import Station


def rfc3339(at: datetime) -> str:
    """UTC with milliseconds and a Z."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _fault(station: Station, fault: Active) -> dict[str, Any]:
    row = fault.row
    return {
        "name": fault.name,
        "since": rfc3339(station.clock.utc_of(fault.since)),
        "detail": fault.detail,
        "severity": row.severity.value,
        "recover": row.recover.value,
        "text": row.fr if station.config.station.language == "fr" else row.en,
    }


def _faults(station: Station, faults: FaultList) -> list[dict[str, Any]]:
    return [_fault(station, fault) for fault in faults]


def _closed(report: PointReport, connector: int) -> bool:
    return report.domestic_closed if connector == DOMESTIC else report.contactor_closed


def _connector(station: Station, point: Point, connector: Connector) -> dict[str, Any]:
    """What one connector of a point shows by itself; everything that flows is told of the point."""
    report, number = point.report, connector.number
    return {
        "id": number,
        "type": KINDS[number],
        "status": connector.status.value,
        "since": rfc3339(station.clock.utc_of(connector.status_at)),
        "info": point.status_changed(number).info,
        "max_current": connector.max_current,
        "phases": [f"L{line + 1}" for line in connector.lines],
        "plugged": None if report is None else plugged(report, number),
        "contactor": None if report is None else _closed(report, number),
        "operative": connector.operative,
        "scheduled": connector.scheduled,
    }


def point_status(station: Station, point: Point) -> dict[str, Any]:
    """One element of `evses`."""
    session, report, reading = point.session, point.report, point.reading
    grant = session.grant if session.state not in ("idle", "waiting_auth", "finished") else None
    return {
        "id": point.id,
        "status": point.status.value,
        "since": rfc3339(station.clock.utc_of(point.status_at)),
        "session": session.state,
        "pilot": report.state if report is not None else None,
        "plugged": session.plugged,
        "lock": report.lock if report is not None else None,
        "contactor": None if report is None else _closed(report, point.used.number),
        "connector": point.used.number,
        "connectors": [_connector(station, point, connector) for connector in point.connectors.values()],
        "offered": point.offered_a if point.permitted else 0.0,
        "signalled": point.signalled_a,
        "waiting": report.waiting if report is not None else "",
        "limits": [
            {
                "name": limit.name,
                "owner": limit.owner,
                "amps": limit.amps,
                "detail": limit.detail,
                "since": rfc3339(station.clock.utc_of(limit.since)),
                "until": None if limit.until is None else rfc3339(station.clock.utc_of(limit.until)),
            }
            for limit in point.limits
        ],
        "current": list(reading.current_a) if reading is not None else None,
        "voltage": list(reading.voltage_v) if reading is not None else None,
        "power": reading.power_w if reading is not None else None,
        "energy": reading.energy_wh if reading is not None else None,
        "session_energy": (
            max(0, reading.energy_wh - point.meter_start_wh) if reading is not None and session.tx is not None else None
        ),
        "temperature": report.temperature_c if report is not None else None,
        "transaction": session.tx if session.tx is not None else (point.pending.tx if point.pending else None),
        "id_token": grant.token if grant is not None else None,
        "reservation": point.reservation,
        "bay_occupied": point.bay.occupied,
        "departure": None
        if (departure := station.departures.of(point)) is None
        else {"at": rfc3339(as_datetime(departure.utc)), "energy_wh": departure.energy_wh},
        "operative": point.operative,
        "scheduled": next((c.scheduled for c in point.connectors.values() if c.scheduled is not None), None),
        "faults": _faults(station, point.faults),
        "counters": dict(report.counters) if report is not None else {},
    }


async def station_status(station: Station) -> dict[str, Any]:
    """The whole answer of `status`."""
    queue = await station.queue()
    return {
        "id": station.config.station.id,
        "version": __version__,
        "started": rfc3339(station.clock.utc_of(station.started_at)),
        "board": {
            "kind": station.config.board.kind,
            "safety": "external" if station.config.external_pilots else "own",
        },
        "time": rfc3339(station.clock.now()),
        "evses": [point_status(station, point) for point in station.points.values()],
        "faults": _faults(station, station.faults),
        "waiting": [list(evses) for evses in station.entrance.waiting],
        "ocpp": {
            "connected": station.backend.online,
            "version": station.config.ocpp.version,
            "url": station.config.ocpp.url,
            **station.backend.status(),
            "queue": queue,
            "ladder": station.uplink.view(station.clock.monotonic()),
        },
        "clock": {"synchronised": station.clock.synchronised, "source": station.clock.source},
        "kpis": station.health.kpis.as_json(),
        "supply": station.supply.view(station.clock.monotonic()),
    }
