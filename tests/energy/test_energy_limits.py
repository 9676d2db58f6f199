"""Named limits: the lowest wins and says why."""

import pytest

from chargepoint.energy.limits import NAMES, Limit, Limits


def limits(*given: Limit) -> Limits:
    result = Limits()
    for limit in given:
        result.set(limit)
    return result


def test_the_lowest_limit_wins_and_is_named() -> None:
    verdict = limits(Limit("socket", "configuration", 32, 0), Limit("cable", "cable", 20, 5)).winner(10)
    assert (verdict.amps, verdict.limit.name) == (20, "cable")
    assert verdict.sentence("en") == "the cable may carry 20 A"
    assert verdict.sentence("fr") == "le câble supporte 20 A"


def test_below_six_amperes_nothing_is_offered_and_the_limit_still_named() -> None:
    verdict = limits(Limit("socket", "configuration", 32, 0), Limit("temperature", "socket", 5.9, 5)).winner(10)
    assert (verdict.amps, verdict.limit.name) == (0.0, "temperature")
    assert verdict.sentence("en").endswith("at least 6 A are needed")
    assert "5,9 A" in verdict.sentence("fr")


def test_no_limit_known_refuses() -> None:
    verdict = Limits().winner(0)
    assert (verdict.amps, verdict.limit.name) == (0.0, "unlimited")
    assert limits(Limit("tic", "Linky", None, 0)).winner(1).amps == 0


def test_a_limit_that_does_not_limit_is_listed_but_never_wins() -> None:
    both = limits(Limit("ocpp-max", "operator", None, 0), Limit("socket", "configuration", 16, 0))
    assert both.winner(1).limit.name == "socket"
    assert [x.name for x in both] == ["socket", "ocpp-max"]


def test_a_limit_ends_at_its_until() -> None:
    both = limits(Limit("socket", "configuration", 32, 0), Limit("technician", "console", 8, 10, until=70))
    assert both.winner(69.9).amps == 8
    assert both.winner(70).amps == 32
    assert [x.name for x in both.expire(70)] == ["technician"]
    assert both.get("technician") is None


def test_repeating_a_limit_keeps_its_since() -> None:
    one = limits(Limit("operator", "csms", 16, 5))
    assert one.set(Limit("operator", "csms", 16, 99)) is False
    kept = one.get("operator")
    assert kept is not None and kept.since == 5
    assert one.set(Limit("operator", "csms", 10, 100)) is True
    changed = one.get("operator")
    assert changed is not None and changed.since == 100


def test_several_limits_of_one_kind_have_keys() -> None:
    two = limits(Limit("grid-signal#relay-1", "Enedis", 10, 0), Limit("grid-signal#input", "Enedis", 8, 0))
    assert two.winner(1).sentence().startswith("the grid operator asks for 8 A")
    assert two.clear("grid-signal#input") and not two.clear("grid-signal#input")
    assert two.winner(1).amps == 10


def test_names_in_the_answer_can_be_left_out() -> None:
    two = limits(Limit("share", "allocator", 7, 0), Limit("socket", "configuration", 32, 0))
    assert two.winner(1, without=frozenset({"share"})).amps == 32


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_name_has_a_sentence_in_both_languages(name: str) -> None:
    limit = Limit(name, "someone", 7.5, 0, detail="why")
    assert limit.sentence("en") and limit.sentence("fr") and "{" not in limit.sentence("en") + limit.sentence("fr")


def test_wrong_limits_are_refused() -> None:
    with pytest.raises(ValueError, match="table of names"):
        Limit("weather", "sky", 6, 0)
    with pytest.raises(ValueError, match="not a current"):
        Limit("socket", "configuration", -1, 0)
