"""The collection of charging profiles: what replaces what, what is cleared, what is refused."""

import json
from dataclasses import replace

import pytest

from chargepoint.energy.profiles import (
    Bounds,
    Kind,
    Period,
    Profile,
    ProfileError,
    Profiles,
    Purpose,
    Recurrency,
    from_dict,
    to_dict,
)

PLAIN = Profile(1, Purpose.TX_DEFAULT, 0, Kind.ABSOLUTE, "A", (Period(0, 16),), start=0)


def of(*items: Profile) -> Profiles:
    result = Profiles()
    for item in items:
        result = result.install(item)
    return result


def ids(profiles: Profiles) -> list[int]:
    return [item.id for item in profiles]


def test_the_same_id_replaces_wherever_it_was() -> None:
    again = replace(PLAIN, stack=5, evse=2, periods=(Period(0, 10),))
    assert list(of(PLAIN, again)) == [again]


def test_the_same_purpose_and_stack_level_on_the_same_point_replaces() -> None:
    assert ids(of(PLAIN, replace(PLAIN, id=2))) == [2]
    assert ids(of(PLAIN, replace(PLAIN, id=2, stack=1))) == [1, 2]
    assert ids(of(PLAIN, replace(PLAIN, id=2, evse=1))) == [1, 2]
    assert ids(of(PLAIN, replace(PLAIN, id=2, purpose=Purpose.STATION_MAX))) == [1, 2]


def test_clear_with_nothing_given_clears_all() -> None:
    left, gone = of(PLAIN, replace(PLAIN, id=2, stack=1)).clear()
    assert (len(left), gone) == (0, 2)


def test_clear_by_id_ignores_everything_else() -> None:
    left, gone = of(PLAIN, replace(PLAIN, id=2, stack=1)).clear(id=2, evse=9, stack=7)
    assert (ids(left), gone) == ([1], 1)


def test_clear_by_criteria_needs_all_of_them() -> None:
    all_of = of(PLAIN, replace(PLAIN, id=2, stack=1), replace(PLAIN, id=3, stack=1, evse=1))
    assert ids(all_of.clear(stack=1, evse=1)[0]) == [1, 2]
    assert ids(all_of.clear(purpose=Purpose.TX_DEFAULT, stack=1)[0]) == [1]
    assert all_of.clear(purpose=Purpose.TX)[1] == 0


def test_the_end_of_a_transaction_takes_its_profiles_along() -> None:
    tx = replace(PLAIN, id=2, purpose=Purpose.TX, evse=1)
    assert ids(of(PLAIN, tx, replace(tx, id=3, evse=2)).ended(1)) == [1, 3]


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("unit", {"unit": "kW"}),
        ("periods", {"periods": ()}),
        ("periods", {"periods": (Period(60, 16),)}),
        ("periods", {"periods": (Period(0, 16), Period(60, 8), Period(60, 9))}),
        ("limit", {"periods": (Period(0, -1),)}),
        ("limit", {"periods": (Period(0, float("nan")),)}),
        ("phases", {"periods": (Period(0, 16, 4),)}),
        ("stack", {"stack": -1}),
        ("stack", {"stack": 101}),
        ("evse", {"purpose": Purpose.STATION_MAX, "evse": 1}),
        ("evse", {"purpose": Purpose.TX, "evse": 0}),
        ("kind", {"purpose": Purpose.STATION_MAX, "kind": Kind.RELATIVE}),
        ("recurrency", {"kind": Kind.RECURRING}),
        ("recurrency", {"recurrency": Recurrency.DAILY}),
        ("transaction", {"transaction": "7"}),
        ("duration", {"duration": -1}),
        ("valid_to", {"valid_from": 100, "valid_to": 100}),
    ],
)
def test_a_profile_that_cannot_be_is_refused_and_the_old_kept(field: str, wrong: dict[str, object]) -> None:
    before = of(PLAIN)
    with pytest.raises(ProfileError) as refused:
        before.install(replace(PLAIN, **wrong))  # type: ignore[arg-type]
    assert refused.value.field == field
    assert str(refused.value)
    assert list(before) == [PLAIN]


def test_the_store_has_its_bound_and_replacing_still_works_when_full() -> None:
    full = of(PLAIN)
    with pytest.raises(ProfileError, match="no more fit"):
        full.install(replace(PLAIN, id=2, stack=1), Bounds(profiles=1))
    assert ids(full.install(replace(PLAIN, id=2), Bounds(profiles=1))) == [2]
    with pytest.raises(ProfileError, match="at most 1"):
        full.install(replace(PLAIN, periods=(Period(0, 1), Period(9, 2))), Bounds(periods=1))


def test_profiles_survive_the_journal() -> None:
    item = replace(
        PLAIN,
        kind=Kind.RECURRING,
        recurrency=Recurrency.WEEKLY,
        min_rate=6.5,
        valid_to=99,
        periods=(Period(0, 8.1, 1),),
    )
    assert from_dict(json.loads(json.dumps(to_dict(item)))) == item
    assert from_dict(json.loads(json.dumps(to_dict(PLAIN)))) == PLAIN
