"""The days of docs/sharing.md through the whole borne, beside the figures kept of them: `--days market,turns`.

A day takes about a minute. Fails when a car got something else than before; `docs/draw_days.py` writes them anew.
"""

import argparse
import asyncio
import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

import structlog

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "e2e"))
sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "energy"))
from common import save, table
from energy_days import DAYS
from stack_days import figures, replay_whole

KEPT = Path(__file__).parent.parent / "docs" / "sharing" / "days.json"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", default="", help="names, with commas; without: all")
    names = [name for name in parser.parse_args().days.split(",") if name]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    kept = json.loads(KEPT.read_text())
    rows: list[dict[str, Any]] = []
    for day in DAYS:
        if names and day.name not in names:
            continue
        began = time.perf_counter()
        outcome = asyncio.run(replay_whole(day))
        rows.append(
            {
                "day": day.name,
                "hours": round((day.end - day.begin) / 3600, 1),
                "took, s": round(time.perf_counter() - began),
                "kWh": round(outcome.energy_kwh, 2),
                "longest excess, s": outcome.longest_excess_s,
                "as before": figures(outcome) == kept[day.name]["ours"]["cars"],
            }
        )
    table("Days through the whole borne, accelerated", rows)
    save("days", rows)
    return 0 if all(row["as before"] for row in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
