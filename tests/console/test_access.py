"""The PIN: no default, hashed, and slow to guess however it is tried."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargepoint.console import access
from chargepoint.console.access import Access, BadPin, LockedOut, NoPin


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lock(tmp_path: Path, clock: Clock) -> Access:
    lock = Access(tmp_path / "pin", tmp_path, clock)
    lock.set_pin("481592")
    return lock


def test_without_a_pin_nobody_may_act(tmp_path: Path) -> None:
    with pytest.raises(NoPin):
        Access(tmp_path / "pin", tmp_path).check("000000")


def test_the_right_pin_opens_and_only_its_hash_is_kept(lock: Access, tmp_path: Path) -> None:
    assert lock.check("481592")
    assert not lock.check("481593")
    kept = (tmp_path / "pin").read_text()
    assert kept.startswith("scrypt$16384$8$1$")
    assert "481592" not in kept
    assert (tmp_path / "pin").stat().st_mode & 0o007 == 0


@pytest.mark.parametrize("pin", ["", "12345", "abcdef", "123456", "987654", "111111", "121212", "12345６", "000001"])
def test_an_easy_pin_is_refused(lock: Access, pin: str) -> None:
    with pytest.raises(BadPin):
        lock.set_pin(pin)
    assert lock.check("481592")


def test_delays_grow_and_hold_for_the_right_pin_and_for_other_sessions(
    lock: Access, tmp_path: Path, clock: Clock
) -> None:
    for _ in range(access.FREE_GUESSES):
        assert not lock.check("000000")
    other = Access(tmp_path / "pin", tmp_path, clock)
    with pytest.raises(LockedOut) as out:
        other.check("481592")
    assert out.value.seconds == access.DELAY_S
    clock.now += access.DELAY_S
    assert not other.check("000000")
    with pytest.raises(LockedOut) as out:
        lock.check("481592")
    assert out.value.seconds == 2 * access.DELAY_S
    clock.now += 2 * access.DELAY_S
    assert lock.check("481592")
    assert lock.check("481592")


def test_ten_thousand_guesses_take_more_than_a_year() -> None:
    assert sum(access.delay(wrong) for wrong in range(10_000)) > 365 * 86_400


def test_ten_thousand_guesses_in_a_row_are_mostly_not_even_looked_at(
    lock: Access, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = []
    monkeypatch.setattr(access, "matches", lambda pin, kept: bool(looked.append(pin)))
    for guess in range(10_000):
        clock.now += 0.05
        try:
            assert not lock.check(f"{guess:06}")
        except LockedOut:
            continue
    assert len(looked) <= 12


def test_a_tampered_count_gives_no_free_guesses(lock: Access, tmp_path: Path) -> None:
    (tmp_path / access.COUNT_FILE).write_text("garbage")
    assert not lock.check("000000")
    with pytest.raises(LockedOut):
        lock.check("481592")


@given(st.binary(max_size=80))
def test_a_damaged_hash_matches_nothing(kept: bytes) -> None:
    assert not access.matches("481592", kept.decode(errors="replace"))


def test_a_pin_that_root_sets_stays_readable_by_the_console(lock: Access, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    lock.set_pin("271828")
    kept = tmp_path / "pin"
    os.chown(kept, 4711, 4712)
    kept.chmod(0o600)
    mask = os.umask(0o077)
    try:
        lock.set_pin("314159")
        found = kept.stat()
        assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (4711, 4712, 0o600)
        kept.unlink()
        os.chown(tmp_path, -1, 4713)
        lock.set_pin("161803")
        assert (kept.stat().st_gid, kept.stat().st_mode & 0o777) == (4713, 0o640)
    finally:
        os.umask(mask)
