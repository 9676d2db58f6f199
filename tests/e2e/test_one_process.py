"""The borne in one process on its own clock: it does what the borne does, and the same at every run."""

from pathlib import Path

import pytest
from one_process import WholeBorne

from chargepoint.sim.central_system import CentralSystem

UID, OTHER = "0012345678", "0012345679"


async def a_charge(root: Path) -> tuple[list[float], list[str]]:
    """Ten minutes of charging; when things happened, and the actions the central system saw, with their times."""
    async with CentralSystem(tags=[UID]) as central, WholeBorne(root, central, "[tic]", begin=8 * 3600.0) as borne:
        await borne.run(15)
        borne.plug(1)
        await borne.until(lambda: borne.point(1).session.state == "waiting_auth", 10)
        borne.badge(UID)
        await borne.until(lambda: borne.contactor(1), 30)
        times = [borne.now]
        await borne.run(600)
        borne.badge(UID)
        await borne.until(lambda: not borne.sim.points[1].lock.holds, 20)
        borne.unplug(1)
        await borne.until(lambda: borne.point(1).status.value == "Available", 10)
        times.append(borne.now)
        await borne.until(lambda: central.transactions[0].stopped is not None, 10)
        transaction = central.transactions[0]
        assert transaction.meter_stop == borne.sim.points[1].register_wh
        assert transaction.energy_wh == pytest.approx(32 * 230 * 3 / 6, rel=0.02)
        assert central.violations == [] and not list(borne.station.faults)
        sent = [f"{call.action} {call.payload.get('timestamp', '')}" for call in central.received]
        return times, sent


@pytest.mark.asyncio
async def test_a_wired_contact_of_the_grid_operator_lowers_its_point_alone_and_a_broken_wire_counts_as_told(
    tmp_path: Path,
) -> None:
    signals = """
[[grid_signal]]
name = "flex"
source = "input-1"
limit = 10
evses = [1]
[[grid_signal]]
name = "stop"
source = "input-2"
active = "open"
limit = 0
evses = [2]
"""
    async with CentralSystem(tags=[UID, OTHER]) as central, WholeBorne(tmp_path, central, signals) as borne:
        borne.contacts(False, True)
        await borne.run(15)
        for evse, uid in ((1, UID), (2, OTHER)):
            borne.plug(evse)
            await borne.until(lambda evse=evse: borne.point(evse).session.state == "waiting_auth", 10)
            borne.badge(uid)
            await borne.until(lambda evse=evse: borne.contactor(evse), 30)
        await borne.run(30)
        assert [point.commands.duty > 40 for point in borne.sim.points.values()] == [True, True]
        borne.contacts(True, True)
        began = borne.now
        await borne.until(lambda: borne.sim.points[1].commands.duty == pytest.approx(10 / 0.6, abs=0.1), 5)
        assert borne.now - began < 1 and borne.sim.points[2].commands.duty > 40
        assert "grid operator asks for 10 A" in borne.why(1)
        assert "gestionnaire du réseau demande 10 A" in borne.why(1, "fr")
        borne.contacts(True, False)  # the wire of the second breaks
        await borne.until(lambda: not borne.contactor(2), 15)
        assert borne.point(2).status.value == "SuspendedEVSE" and borne.contactor(1)
        assert "grid operator" in borne.why(2)
        assert borne.station.supply.view(borne.now)["contacts"] == [True, False]


@pytest.mark.asyncio
async def test_a_charge_on_its_own_clock_is_billed_as_the_meter_shows_and_repeats_exactly(tmp_path: Path) -> None:
    first = await a_charge(tmp_path / "a")
    assert first == await a_charge(tmp_path / "b")
