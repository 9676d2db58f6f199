"""Broken frames in both directions; the long run is `bench/fuzz_ocpp.py`."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

from fuzz_ocpp import fuzz

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize("seed", [11, 12])
async def test_broken_frames_in_both_directions_are_survived(tmp_path, seed):
    seen = await fuzz(1500, seed, tmp_path)
    assert seen["FormationViolation"] > 100
    assert seen["results"] > 20
    assert seen.get("InternalError", 0) == 0
