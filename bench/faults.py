"""Every fault of the safety process, end to end: reaction times at the contactor's pin, and whether all went as told.

    ./dev run python bench/faults.py [FAULT…]

Each is made at the simulated borne's wires while a car charges (or where it belongs), must be acted on within its
bound, shown in the status, reported as OCPP says, and be over as its row of the fault table says.
"""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "e2e"))

import common
from fault_campaign import Campaign, table
from fault_domestic import WHERE, DomesticCampaign


def main(names: list[str]) -> int:
    wanted = set(names) or None

    async def play() -> tuple[Campaign, Campaign]:
        campaigns = Campaign(wanted), DomesticCampaign(wanted)
        for campaign in campaigns:
            await campaign.run()
        return campaigns

    played, domestic = asyncio.run(play())
    rows = table(played) + table(domestic)
    common.table("From the fault on the wires to the contactor's command, and to the status, ms", rows)
    common.save("faults", rows)
    failures = played.failures | {f"{name}{WHERE}": why for name, why in domestic.failures.items()}
    for name, why in failures.items():
        print(f"\n{name}: {why}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
