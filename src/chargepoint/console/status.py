"""`chargepoint status` and `chargepoint why`: one screen, one sentence."""

import json
import sys
from typing import Any

from chargepoint.config import Config
from chargepoint.console.rpc import Refused, Station, Unreachable
from chargepoint.text import amps, clean, clean_all, mask, table


def run(config: Config, *, as_json: bool) -> int:
    """Print the station's status. Exit status 1 when it cannot be asked."""
    try:
        status = Station(config).ask("status")
    except (Unreachable, Refused) as error:
        print(f"chargepoint: {error}", file=sys.stderr)
        return 1
    if as_json:
        print(json.dumps(status, indent=2))  # ASCII: escapes whatever could disturb a terminal
    else:
        print("\n".join(screen(status)))
    return 0


def why(config: Config, evse: int, lang: str) -> int:
    """Print the station's sentence about a point."""
    try:
        print(clean(Station(config).ask("why", evse=evse, lang=lang), 1000))
    except (Unreachable, Refused) as error:
        print(f"chargepoint: {error}", file=sys.stderr)
        return 1
    return 0


def screen(raw: dict[str, Any]) -> list[str]:
    """The status as lines of at most 80 columns, 24 for two points without faults."""
    status = clean_all(raw)
    lines = [_headline(status), ""]
    rows = [["point", "status", "pilot", "offered", "current", "power", "register", "badge"]]
    rows += [_point(evse) for evse in status.get("evses", [])]
    lines += table(rows)
    for evse in status.get("evses", []):
        lines += ["", *_limits(evse)]
        lines += _faults(f"point {evse['id']}", evse.get("faults", []))
    lines += _faults("borne", status.get("faults", []))
    return [line[:80] for line in lines]


def _headline(status: dict[str, Any]) -> str:
    ocpp = status.get("ocpp") or {}
    clock = status.get("clock") or {}
    backend = "connected" if ocpp.get("connected") else "NOT CONNECTED"
    synchronised = "synchronised" if clock.get("synchronised") else "NOT SYNCHRONISED"
    queue = f"queue {ocpp.get('queue', 0)}"
    return f"OCPP {ocpp.get('version', '?')} {backend}, {queue}; clock {synchronised}; version {status.get('version')}"


def _point(evse: dict[str, Any]) -> list[str]:
    current = evse.get("current")
    if isinstance(current, list):
        current = max((value for value in current if value is not None), default=None)
    energy, power = evse.get("energy"), evse.get("power")
    return [
        str(evse.get("id")),
        str(evse.get("status")),
        str(evse.get("pilot") or "-"),
        amps(evse.get("offered")),
        amps(current),
        "-" if power is None else f"{power / 1000:.2f} kW",
        "-" if energy is None else f"{energy / 1000:.3f} kWh",
        mask(evse.get("id_token")) or "-",
    ]


def _limits(evse: dict[str, Any]) -> list[str]:
    limits = evse.get("limits") or []
    if not limits:
        return [f"point {evse.get('id')}: no limits"]
    numbered = [limit for limit in limits if limit.get("amps") is not None]
    numbered.sort(key=lambda limit: float(limit["amps"]))
    shown = ", ".join(f"{limit['name']} {limit['amps']:g} A ({limit.get('owner', '?')})" for limit in numbered[:4])
    return [f"point {evse.get('id')} limits: {shown}"]


def _faults(where: str, faults: list[dict[str, Any]]) -> list[str]:
    return [
        f"{where} FAULT: {fault.get('name')} since {fault.get('since')} {fault.get('detail', '')}" for fault in faults
    ]
