"""Charging sessions by the thousand with random faults, in injected time.

    ./dev run python bench/fault_sessions.py [--sessions 10000] [--shard 500] [--seed 1] [--calm]

Shards of some hundred sessions, each a borne of its own with a seed of its own (SEED, SEED+1, ...), one after another;
figures add up over runs with `--add FILE`, which goes on with the seed after the last one in it. `--show FILE...` plays
nothing and prints what such files have together as the tables of `docs/reliability.md`. The same program gives the same
digest for the same seed and number of sessions: a session that went wrong can be played again.
"""

import argparse
import gc
import itertools
import json
import logging
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "e2e"))

import structlog
from common import save, table
from fault_account import Account
from fault_sessions import DOMESTIC, IN_USE, POINT, Campaign
from fault_weather import ALL


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--shard", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit", type=float, default=540.0, help="seconds of real time after which no shard begins")
    parser.add_argument("--calm", action="store_true", help="no faults: what a sound borne does")
    parser.add_argument("--add", type=Path, help="a file that collects the shards of several runs")
    parser.add_argument("--show", type=Path, nargs="+", help="files of earlier runs, to be shown together")
    arguments = parser.parse_args()
    if arguments.show:
        return pages(arguments.show)
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
        campaign = Campaign(seed, arguments.shard, not arguments.calm)
        shard = campaign.play()
        print(
            f"seed {seed}: {shard.sessions} sessions, {time.perf_counter() - at:.0f} s, {len(shard.stuck)} stuck, "
            f"{shard.lost} lost, {shard.twice} twice, {shard.unbilled_wh} Wh unexplained, "
            f"{len(shard.missed)} missed, {len(shard.violations)} violations, digest {campaign.digest}",
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


def pages(files: list[Path]) -> int:
    """The tables of the documentation."""
    total, seeds = Account(), []
    for line in "".join(file.read_text() for file in files).splitlines():
        record = json.loads(line)
        seeds.append(record.pop("seed"))
        total.add(loaded(record))
    print("| figure | value |\n|---|---|")
    for name, value in figures(total, len(seeds)):
        print(f"| {name} | {value} |")
    runs = itertools.groupby(enumerate(sorted(seeds)), key=lambda place: place[1] - place[0])
    spans = [[seed for _, seed in run] for _, run in runs]
    print("\nSeeds " + ", ".join(f"{span[0]} to {span[-1]}" if span[1:] else f"{span[0]}" for span in spans))
    print("\n| fault | made | recovered from | mean, s | p50, s | max, s |\n|---|---|---|---|---|---|")
    rows = {row["fault"]: row for row in total.rows()}
    beside = [name for name in sorted(total.faults) if name.endswith(IN_USE)]
    for name in (*POINT, *(n for n in DOMESTIC if n.startswith("domestic-")), *beside, *ALL):
        if name in rows:
            row = rows[name]
            print(f"| {name} | {row['times']} | {row['recovered']} |", end="")
            print(f" {row['mean_s']} | {row['p50_s']} | {row['max_s']} |")
        elif total.faults[name]:
            print(f"| {name} | {total.faults[name]} | 0 | | | |")
    return 0 if total.sound else 1


def figures(total: Account, lives: int) -> list[tuple[str, str]]:
    """What the account says, in words."""

    def share(part: int, whole: int) -> str:
        return f"{part:,} of {whole:,} ({100 * part / max(1, whole):.2f} %)"

    strangers = total.stranger_charged + total.refused_strangers
    return [
        (f"sessions (who came), in {lives} bornes' lives", f"{total.sessions:,}"),
        ("injected time", f"{total.seconds / 3600:.0f} h"),
        ("faults made", f"{sum(total.faults.values()):,}"),
        (
            "first-try success of healthy cars and plugs, nothing else wrong at the time",
            share(total.healthy_first_try, total.healthy),
        ),
        (
            "the same while network or central system were bad, or had been within 45 s",
            share(total.healthy_offline_first_try, total.healthy_offline),
        ),
        (
            "the same while disk, clock or Linky's frames were",
            share(total.healthy_hindered_first_try, total.healthy_hindered),
        ),
        (
            "at a point with a fault of its own, charged within a minute all the same",
            f"{total.faulty_charged:,} of {total.faulty:,}",
        ),
        (
            "unknown badges that charged",
            f"{total.stranger_charged} of {strangers}",
        ),
        ("points stuck (not free 7 min after the last cause went)", f"{len(total.stuck)}"),
        ("transactions", f"{total.transactions:,}"),
        ("lost / booked twice", f"{total.lost} / {total.twice}"),
        ("starts sent again after a lost answer", f"{total.repeated_by_resend}"),
        ("told with a time the borne had no reason to believe", f"{len(total.misdated)}"),
        ("seconds of an overload without room made", f"{len(total.overloads)}"),
        ("energy billed", f"{total.billed_wh:,} Wh"),
        (
            "not billed, at a point with a silent or noisy meter, a welded contactor or a killed process just before",
            f"{total.unbilled_explained_wh:,} Wh",
        ),
        ("not billed otherwise", f"{total.unbilled_wh} Wh"),
        (
            "frames against the schemas; ends of the station that nobody asked for",
            f"{len(total.violations)}; {len(total.deaths)}",
        ),
    ]


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
