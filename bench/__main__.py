"""Run the benchmarks one after the other: `./dev bench [NAME…]`. Answers non-zero when one of them failed."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
RUNS: dict[str, list[str]] = {
    "resources": [],
    "latency": ["--events", "2000", "--kinds", "C->B", "--loads", "idle,busy"],
    "energy": [],
    "meters": [],
    "replay": [],
    "badge": ["10"],
}
"""Each with the arguments of a run that is long enough to mean something and ends within minutes."""
CAMPAIGNS: dict[str, list[str]] = {
    "power_cuts": ["--cuts", "1000", "--bornes", "6"],
    "power_loss": [],
    "torn_files": ["--whole", "12"],
    "storage": [],
    "soak": [],
}
"""The whole of what the suite plays a part of; only when named, for they take from five minutes to half an hour each.

So do `latency` with every kind of event, `evse_day`, `fault_sessions`, `network_faults` and `fuzz_ocpp`.
"""
LIMIT_S = 3600


def main(names: list[str]) -> int:
    unknown = [name for name in names if not (HERE / f"{name}.py").exists()]
    if unknown:
        known = ", ".join(sorted(path.stem for path in HERE.glob("[a-z]*.py") if path.stem != "common"))
        print(f"there is no benchmark {', '.join(unknown)}; there are {known}", file=sys.stderr)
        return 2
    failed = []
    for name in names or RUNS:
        command = [sys.executable, str(HERE / f"{name}.py"), *(RUNS | CAMPAIGNS).get(name, [])]
        if subprocess.run(command, timeout=LIMIT_S, check=False).returncode != 0:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
