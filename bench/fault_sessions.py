"""Charging sessions by the thousand with random faults, in injected time.

    ./dev run python bench/fault_sessions.py [--sessions 10000] [--shard 500] [--seed 1] [--calm]

Shards of some hundred sessions, each a borne of its own with a seed of its own (SEED, SEED+1, ...), one after another;
figures add up over runs with `--add FILE`, which goes on with the seed after the last one in it.
"""

import argparse
import gc
import json
import logging
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "e2e"))

import structlog
import virtual_time
from common import save, table
from fault_account import Account
from fault_sessions import Campaign


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--shard", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit", type=float, default=540.0, help="seconds of real time after which no shard begins")
    parser.add_argument("--calm", action="store_true", help="no faults: what a sound borne does")
    parser.add_argument("--add", type=Path, help="a file that collects the shards of several runs")
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    gc.freeze()
    gc.set_threshold(200_000, 20, 20)  # a fifth of the time
    total, began, seed = Account(), time.perf_counter(), arguments.seed
    if arguments.add and arguments.add.exists():
        for line in arguments.add.read_text().splitlines():
            record = json.loads(line)
            seed = max(seed, record.pop("seed") + 1)
            total.add(loaded(record))
    while total.sessions < arguments.sessions and time.perf_counter() - began < arguments.limit:
        at = time.perf_counter()
        shard = virtual_time.run(Campaign(seed, arguments.shard, not arguments.calm).run())
        print(
            f"seed {seed}: {shard.sessions} sessions, {time.perf_counter() - at:.0f} s, {len(shard.stuck)} stuck, "
            f"{shard.lost} lost, {shard.twice} twice, {shard.unbilled_wh} Wh unexplained, "
            f"{len(shard.missed)} missed, {len(shard.violations)} violations",
            flush=True,
        )
        bad = (*shard.stuck, *shard.overloads[:5], *shard.misdated[:5], *shard.missed[:20], *shard.violations[:5])
        for line in (*bad, *shard.deaths):
            print("   ", line, flush=True)
        if arguments.add:
            with arguments.add.open("a") as file:
                file.write(json.dumps({"seed": seed, **vars(shard)}) + "\n")
        total.add(shard)
        seed += 1
    show(total)
    return 0 if total.sound else 1


def loaded(record: dict[str, object]) -> Account:
    """An account as a line of the file has it."""
    account = Account()
    account.add(Account(**record))  # type: ignore[arg-type]
    return account


def show(total: Account) -> None:
    if total.recovery_s:
        table("Recovery by fault, s of injected time", total.rows())
    plain = {k: v for k, v in vars(total).items() if isinstance(v, int | float)}
    plain |= {name: len(getattr(total, name)) for name in ("stuck", "overloads", "misdated", "violations", "deaths")}
    for name, value in plain.items():
        print(f"{name:28} {value}")
    save("fault_sessions", [plain, *total.rows()])


if __name__ == "__main__":
    sys.exit(main())
