"""Cut the power of a borne's disk at random instants of its life: unsynced writes dropped, kept in part, or torn.

    ./dev run python bench/power_loss.py [--disks 3000] [--turns 6] [--seed 1]

Needs a C compiler (see `tests/e2e/machine_shim.c`). The seed repeats the disks of one life, and not the life itself.
"""

import argparse
import asyncio
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "e2e"))

from common import save, table
from disk_life import judge, live


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--disks", type=int, default=3000)
    parser.add_argument("--turns", type=int, default=6, help="sessions, and rounds of everything an operator changes")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    life = asyncio.run(live(options.turns))
    with tempfile.TemporaryDirectory(prefix="power-loss-") as work:
        verdict = judge(life, options.disks, options.seed, Path(work))
    row = {
        "changes": len(life.log),
        "disks": verdict.disks,
        "promises": len(life.promises),
        "lost": len(verdict.lost),
        "damaged": len(verdict.damaged),
    }
    table("Power cut from the disk", [row])
    for line in (*verdict.lost[:10], *verdict.damaged[:10]):
        print(line)
    print(dict(Counter(f"{change.kind} {Path(change.path).name}" for change in life.log)))
    save("power_loss", [row])
    return 1 if verdict.lost or verdict.damaged else 0


if __name__ == "__main__":
    sys.exit(main())
