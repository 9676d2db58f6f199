"""The power goes at any instant: what had been answered or sent by then is on the disk, whatever else is not."""

import asyncio
from pathlib import Path

import pytest
from machine import COMPILER
from power_loss import judge, live


@pytest.mark.skipif(COMPILER is None, reason="there is no C compiler to build the machine around the program")
def test_nothing_that_was_answered_or_sent_is_lost_with_the_power(tmp_path: Path) -> None:
    life = asyncio.run(live(turns=1))
    assert len(life.promises) > 8
    verdict = judge(life, disks=120, seed=5, work=tmp_path)
    assert verdict.disks == 120
    assert verdict.lost == []
    assert verdict.damaged == []
