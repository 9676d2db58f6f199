"""What the benchmarks share: percentiles, a table on the terminal, a JSON file in `bench/results/`."""

import json
import platform
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """p50, p99, p99.9 and max; nearest rank, so that every figure is a value that was measured."""
    ordered = sorted(values)

    def rank(share: float) -> float:
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    return {"n": len(ordered), "p50": rank(0.5), "p99": rank(0.99), "p99.9": rank(0.999), "max": ordered[-1]}


def table(title: str, rows: Sequence[dict[str, Any]]) -> None:
    """Print rows as a table; columns are the keys of the first row."""
    print(f"\n{title}")
    columns = list(rows[0])
    cells = [[_text(row.get(column)) for column in columns] for row in rows]
    widths = [max(len(column), *(len(line[i]) for line in cells)) for i, column in enumerate(columns)]
    print("  ".join(column.ljust(width) for column, width in zip(columns, widths, strict=True)))
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)))


def save(name: str, rows: Sequence[dict[str, Any]]) -> None:
    """Write the rows with the conditions they were measured under."""
    RESULTS.mkdir(exist_ok=True)
    conditions = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "kernel": platform.release(),
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
        ).stdout.strip(),
    }
    (RESULTS / f"{name}.json").write_text(json.dumps({"conditions": conditions, "rows": list(rows)}, indent=1))


def _text(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
