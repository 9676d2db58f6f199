"""A disk whose fsync takes a second; the other troubles of disks and clocks are played by `bench/storage.py`."""

import pytest
from machine import COMPILER
from troubles import slow_disk, stage


@pytest.mark.asyncio
@pytest.mark.skipif(COMPILER is None, reason="no C compiler to build the machine around the program with")
async def test_a_slow_disk_disturbs_neither_the_contactor_nor_the_link() -> None:
    async with stage() as on:
        await slow_disk(on, seconds=2.0, fsync_s=1.0)
