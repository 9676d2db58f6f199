"""The power goes at any instant, and the disk breaks: what had been answered or sent is there; what is not is told."""

import asyncio
import shutil
from pathlib import Path
from random import Random

import pytest
from damaged_files import damage, look, start_and_charge
from disk_life import Life, judge, live
from machine import COMPILER, PowerCut

from chargepoint.journal.journal import FILE_NAME

pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C compiler to build the machine around the program with")


@pytest.fixture(scope="module")
def life() -> Life:
    return asyncio.run(live(turns=1))


def killed_at(life: Life, instant: int) -> dict[str, bytes]:
    """The files as a SIGKILL at that change leaves them."""
    power = PowerCut()
    for change in life.log[:instant]:
        power.follow(change)
    return {Path(path).name: content for path, content in power.everything().items()}


def test_nothing_that_was_answered_or_sent_is_lost_with_the_power(life: Life, tmp_path: Path) -> None:
    assert len(life.promises) > 8
    verdict = judge(life, disks=120, seed=5, work=tmp_path)
    assert verdict.disks == 120
    assert verdict.lost == []
    assert verdict.damaged == []


def test_damaged_files_never_keep_the_journal_from_opening(life: Life, tmp_path: Path) -> None:
    dice = Random(8)
    told = 0
    for _ in range(40):
        instant = dice.randrange(len(life.log) // 4, len(life.log))
        files = killed_at(life, instant)
        case = damage(files, dice)
        shutil.rmtree(tmp_path / "state", ignore_errors=True)
        (tmp_path / "state").mkdir()
        for name, content in (files | case.files).items():
            (tmp_path / "state" / name).write_bytes(content)
        verdict = asyncio.run(look(life, life.log[instant - 1].at, tmp_path / "state", case))
        assert not verdict.startswith("wrong"), (case.kind, case.name, verdict)
        told += verdict.startswith("told")
    assert told > 5


def test_a_borne_with_a_damaged_log_says_so_and_charges(life: Life) -> None:
    files = killed_at(life, len(life.log) // 2)
    log = bytearray(files[f"{FILE_NAME}-wal"])
    log[len(log) // 3] ^= 1
    assert asyncio.run(start_and_charge(files | {f"{FILE_NAME}-wal": bytes(log)})) == "charges, told"
