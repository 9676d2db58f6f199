"""`chargepoint status` and `chargepoint why`: one screen, one sentence."""

import json
import sys
import textwrap
from typing import Any

from chargepoint.config import Config
from chargepoint.console.language import Language
from chargepoint.console.rpc import Refused, Station, Unreachable
from chargepoint.faults import row_of
from chargepoint.sentences import translate
from chargepoint.text import amps, clean, clean_all, mask, table

TELLING = frozenset({"safe-mode", "backend-offline"})
"""Faults whose detail says more than their sentence: what the station died of, what was done about a lost link."""


def run(config: Config, *, as_json: bool) -> int:
    """Print the station's status. Exit status 1 when it cannot be asked."""
    try:
        status = Station(config).ask("status")
    except Unreachable as error:
        print(f"chargepoint: the station does not answer: {error}", file=sys.stderr)
        return 1
    except Refused as error:
        print(f"chargepoint: {error}", file=sys.stderr)
        return 1
    if as_json:
        print(json.dumps(status, indent=2))  # ASCII: escapes whatever could disturb a terminal
    else:
        print("\n".join(screen(status, Language(config.station.language))))
    return 0


def why(config: Config, evse: int, lang: str, connector: int | None = None) -> int:
    """Print the station's sentence about a point."""
    try:
        which = {} if connector is None else {"connector": connector}
        print(clean(Station(config).ask("why", evse=evse, lang=lang, **which), 1000))
    except Unreachable as error:
        print(f"chargepoint: the station does not answer: {error}", file=sys.stderr)
        return 1
    except Refused as error:
        print(f"chargepoint: {translate(str(error), lang)}", file=sys.stderr)
        return 1
    return 0


def screen(raw: dict[str, Any], t: Language) -> list[str]:
    """The status as lines of at most 80 columns, 24 for two points without faults."""
    status = clean_all(raw)
    lines = [_headline(status, t), ""]
    if (status.get("board") or {}).get("kind") == "modbus-pilot":
        lines.insert(1, t("external pilot controllers answer for the safety of the points"))
    rows = [[t(word) for word in ("point", "status", "pilot", "offered", "current", "power", "register", "badge")]]
    rows += [_point(evse, t) for evse in status.get("evses", [])]
    lines += table(rows)
    for evse in status.get("evses", []):
        where = t("point {evse}", evse=evse.get("id"))
        lines += ["", *_connectors(where, evse, t), _limits(where, evse, t)]
        sentence = (evse.get("why") or {}).get(t.name)
        if sentence:
            lines += textwrap.wrap(f"{where}: {sentence}", 80, subsequent_indent="    ")
        lines += _faults(where, evse.get("faults", []), t)
    lines += _faults(t("borne"), status.get("faults", []), t)
    return [line[:80] for line in lines]


def _headline(status: dict[str, Any], t: Language) -> str:
    ocpp = status.get("ocpp") or {}
    clock = status.get("clock") or {}
    backend = t("connected") if ocpp.get("connected") else t("NOT CONNECTED")
    synchronised = t("clock right") if clock.get("synchronised") else t("CLOCK NOT SET")
    queue = t("{count} waiting", count=ocpp.get("queue", 0))
    return f"OCPP {ocpp.get('version', '?')} {backend}, {queue}; {synchronised}; chargepoint {status.get('version')}"


def _point(evse: dict[str, Any], t: Language) -> list[str]:
    current = evse.get("current")
    if isinstance(current, list):
        current = max((value for value in current if value is not None), default=None)
    energy, power = evse.get("energy"), evse.get("power")
    return [
        str(evse.get("id")),
        t(str(evse.get("status"))),
        str(evse.get("pilot") or "-"),
        amps(evse.get("offered")),
        amps(current),
        "-" if power is None else f"{power / 1000:.2f} kW",
        "-" if energy is None else f"{energy / 1000:.3f} kWh",
        mask(evse.get("id_token")) or "-",
    ]


def _connectors(where: str, evse: dict[str, Any], t: Language) -> list[str]:
    """A point with more than one: what each shows, of which one at most is in use."""
    found = evse.get("connectors") or []
    if len(found) < 2:
        return []
    return [f"{where}: " + ", ".join(f"{t(str(c.get('type')))} {t(str(c.get('status')))}" for c in found)]


def one_connector(raw: dict[str, Any], number: int, t: Language) -> list[str]:
    """What one connector of a point has of its own, line by line."""
    evse = clean_all(raw)
    shown: dict[str, Any] = next((each for each in evse.get("connectors") or [] if each.get("id") == number), {})
    in_service = _said(shown.get("operative"), "yes", "no", t)
    if shown.get("scheduled") is not None:
        in_service += f" ({t('changes when the session ends')})"
    rows = [
        [t("status"), t(str(shown.get("status")))],
        [t("since"), str(shown.get("since") or "-")],
        [t("reason"), t.said(shown.get("info") or "-")],
        [t("in service"), in_service],
        [t("plugged"), _said(shown.get("plugged"), "yes", "no", t)],
        [t("contactor"), _said(shown.get("contactor"), "closed", "open", t)],
        [t("limit"), f"{amps(shown.get('max_current'))}, {', '.join(shown.get('phases') or ['-'])}"],
    ]
    head = t("point {evse}", evse=f"{evse.get('id')}.{number} ({t(str(shown.get('type')))})")
    return [head, *table(rows, "  ")]


def _said(value: bool | None, true: str, false: str, t: Language) -> str:
    return "?" if value is None else t(true) if value else t(false)


def _limits(where: str, evse: dict[str, Any], t: Language) -> str:
    limits = [limit for limit in evse.get("limits") or [] if limit.get("amps") is not None]
    limits.sort(key=lambda limit: float(limit["amps"]))
    shown = ", ".join(f"{limit['name']} {limit['amps']:g} A" for limit in limits)
    return f"{where}: {t('limits')} {shown or '-'}"


def _faults(where: str, faults: list[dict[str, Any]], t: Language) -> list[str]:
    """The name, then what to do, over as many lines as it takes."""
    lines = []
    for fault in faults:
        row = row_of(str(fault.get("name")))
        text = row.fr if t.name == "fr" else row.en
        if row.name in TELLING and fault.get("detail"):
            text = f"{text} ({t.said(fault['detail'])})"
        lines += textwrap.wrap(f"{where} ! {fault.get('name')}: {text}", 80, subsequent_indent="    ")
    return lines
