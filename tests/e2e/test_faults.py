"""A few faults at the wires of running bornes, from the sensor to the central system and back to service.

`bench/faults.py` plays every fault; these are one of each way of recovery, and one that stops the whole borne.
"""

import asyncio

import pytest
from fault_campaign import Campaign
from fault_domestic import DomesticCampaign

PLAYED = ("pp-short", "contactor-stuck-open", "lock-jam", "residual-current", "contactor-welded", "emergency-stop")


@pytest.fixture(scope="module")
def campaign() -> Campaign:
    async def play() -> Campaign:
        made = Campaign(set(PLAYED))
        await made.run()
        return made

    return asyncio.run(play())


@pytest.mark.parametrize("name", PLAYED)
def test_a_fault_is_noticed_acted_on_told_and_over_as_its_row_says(campaign: Campaign, name: str) -> None:
    assert name not in campaign.failures, campaign.failures[name]


def test_a_domestic_socket_whose_contactor_stays_closed_is_told_and_waits_for_a_technician() -> None:
    async def play() -> DomesticCampaign:
        made = DomesticCampaign({"domestic-contactor"})
        await made.run()
        return made

    assert asyncio.run(play()).failures == {}
