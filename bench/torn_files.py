"""Damage the files of a borne's journal at random, and see whether it starts, what it says, and what it lost.

    ./dev run python bench/torn_files.py [--cases 3000] [--seed 1] [--whole 30]

The files are those of a borne that was killed at a random instant (see `bench/power_loss.py`): database and write-ahead
log. `cut`: a file loses its end. `flip`: some bits are turned. `sectors`: some sectors are zeros, or another's. Three
in four cases are looked at in this process, with the journal alone; `--whole` cases start the whole program with the
damaged files: it must answer, say what it lost, and charge a car.
"""

import argparse
import asyncio
import contextlib
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "e2e"))

from common import save, table
from damaged_files import Case, damage, look, start_and_charge
from disk_life import Life, live
from machine import PowerCut


def cases(life: Life, count: int, seed: int) -> list[tuple[float, dict[str, bytes], Case]]:
    """Instant, files, and what is to be done to them."""
    dice = Random(seed)
    instants = sorted(dice.randrange(len(life.log) // 4, len(life.log)) for _ in range(count))
    power, done, made = PowerCut(), 0, []
    for instant in instants:
        for change in life.log[done:instant]:
            power.follow(change)
        done = instant
        files = {Path(path).name: content for path, content in power.everything().items()}
        made.append((life.log[instant - 1].at, files, damage(files, dice)))
    return made


async def in_process(life: Life, count: int, seed: int, work: Path) -> Counter[str]:
    found: Counter[str] = Counter()
    for number, (at, files, case) in enumerate(cases(life, count, seed)):
        place = work / "state"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        for name, content in (files | case.files).items():
            (place / name).write_bytes(content)
        verdict = await look(life, at, place, case)
        found[f"{case.kind} {case.name}: {verdict}"] += 1
        if verdict.startswith("wrong"):
            print(f"case {number}: {case.kind} {case.name}: {verdict}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cases", type=int, default=3000)
    parser.add_argument("--whole", type=int, default=0, help="so many through the whole program")
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    life = asyncio.run(live(options.turns))
    with tempfile.TemporaryDirectory(prefix="torn-") as work:
        found = asyncio.run(in_process(life, options.cases, options.seed, Path(work)))
        for _, files, case in cases(life, options.whole, options.seed + 1):
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(Path(work) / "state")
            found[f"whole program: {asyncio.run(start_and_charge(files | case.files))}"] += 1
    rows = [{"case": name, "n": count} for name, count in sorted(found.items())]
    table("Damaged files", rows)
    save("torn_files", rows)
    return 1 if any("wrong" in name for name in found) else 0


if __name__ == "__main__":
    sys.exit(main())
