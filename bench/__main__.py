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
"""Each with the arguments of a run that is long enough to mean something and ends within minutes.

The longer campaigns (`latency` with every kind of event, `evse_day`, `power_cuts`, `fault_sessions`, `network_faults`,
`fuzz_ocpp`) are run by their own names.
"""
LIMIT_S = 1800


def main(names: list[str]) -> int:
    unknown = [name for name in names if not (HERE / f"{name}.py").exists()]
    if unknown:
        known = ", ".join(sorted(path.stem for path in HERE.glob("[a-z]*.py") if path.stem != "common"))
        print(f"there is no benchmark {', '.join(unknown)}; there are {known}", file=sys.stderr)
        return 2
    failed = []
    for name in names or RUNS:
        command = [sys.executable, str(HERE / f"{name}.py"), *RUNS.get(name, [])]
        if subprocess.run(command, timeout=LIMIT_S, check=False).returncode != 0:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
