"""A short run of the fault campaign: `bench/fault_sessions.py` plays ten thousand sessions."""

import virtual_time
from fault_sessions import Campaign
from fault_weather import POWER_CUT
from injected_disk import FULL, READ_ONLY, SLOW


def test_random_faults_leave_no_point_stuck_and_lose_no_transaction() -> None:
    account = virtual_time.run(Campaign(seed=7, sessions=16).run())
    assert account.stuck == []
    assert account.violations == []
    assert account.deaths == []
    assert (account.lost, account.twice, account.unbilled_wh, account.stranger_charged) == (0, 0, 0, 0)
    assert account.healthy_first_try == account.healthy
    assert account.sessions >= 16
    assert sum(account.faults.values()) >= 6


def test_disk_clock_linky_and_power_cuts_leave_no_point_stuck_and_lose_no_transaction() -> None:
    kinds = (FULL, "Linky silent", POWER_CUT, "clock -26 h", SLOW, "Linky overload", READ_ONLY)
    account = virtual_time.run(Campaign(seed=31, sessions=40, kinds=kinds).run())
    assert account.sound, account
    assert account.healthy_first_try == account.healthy
    assert account.healthy_hindered_first_try == account.healthy_hindered > 0
    assert all(account.faults[name] for name in kinds[:3])


def test_the_same_seed_gives_the_same_sessions() -> None:
    once, again = (virtual_time.run(Campaign(seed=3, sessions=3).run()) for _ in range(2))
    assert once.transactions == again.transactions
    assert (once.billed_wh, once.seconds, once.faults) == (again.billed_wh, again.seconds, again.faults)
