"""A short run of the fault campaign: `bench/fault_sessions.py` plays ten thousand sessions."""

from fault_sessions import Campaign
from fault_weather import POWER_CUT
from injected_disk import FULL, READ_ONLY, SLOW


def test_random_faults_leave_no_point_stuck_and_lose_no_transaction() -> None:
    account = Campaign(seed=7, sessions=16).play()
    assert account.stuck == []
    assert account.violations == []
    assert account.deaths == []
    assert (account.lost, account.twice, account.unbilled_wh, account.stranger_charged) == (0, 0, 0, 0)
    assert account.healthy_first_try == account.healthy
    assert account.sessions >= 16
    assert sum(account.faults.values()) >= 6


def test_disk_clock_linky_and_power_cuts_leave_no_point_stuck_and_lose_no_transaction() -> None:
    kinds = (FULL, "Linky silent", POWER_CUT, "clock -26 h", SLOW, "Linky overload", READ_ONLY)
    account = Campaign(seed=31, sessions=40, kinds=kinds).play()
    assert account.sound, account
    assert account.healthy_first_try == account.healthy
    assert account.healthy_hindered_first_try == account.healthy_hindered > 0
    assert all(account.faults[name] for name in kinds[:3])


def test_the_same_seed_gives_the_same_account_and_the_same_calls_whatever_fails() -> None:
    kinds = ("network down", "loss", "station killed", SLOW, "half-open", "does not answer")
    once, again = (Campaign(seed=4, sessions=24, kinds=kinds) for _ in range(2))
    assert once.play() == again.play()
    assert once.digest == again.digest
    assert all(once.account.faults[name] for name in kinds[:3])
