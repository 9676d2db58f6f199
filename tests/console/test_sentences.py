"""What other rooms say in English reaches a French reader in French."""

import pytest
import spoken

from chargepoint.sentences import FRENCH, translate

SAID = spoken.sentences()


def test_the_search_finds_what_the_rooms_say() -> None:
    assert {"the 30 mA device has tripped", "no usable answer from unit {} on {}", "there is no point {}"} <= SAID


def test_every_sentence_of_every_room_has_its_french() -> None:
    assert sorted(SAID - set(FRENCH)) == [], "add them to chargepoint/sentences.py"


@pytest.mark.parametrize("english", FRENCH)
def test_a_sentence_keeps_its_values_in_french(english: str) -> None:
    values = [f"<{number}>" for number in range(english.count("{}"))]
    said = translate(english.format(*values), "fr")
    assert all(value in said for value in values), said
    assert translate(english.format(*values), "en") == english.format(*values)


def test_a_sentence_within_a_sentence_is_translated_too() -> None:
    said = "the journal does not take the entry, so it is not done: database or disk is full"
    assert translate(said, "fr") == "le journal ne prend pas l'inscription, donc rien n'est fait : disque plein"
    said = "mirror contact open, load side live; lock: both end switches tell the same"
    assert translate(said, "fr").startswith("contact miroir ouvert, côté charge sous tension ; verrou")
    assert translate("reader 2: the reader does not answer", "fr") == "lecteur 2 : le lecteur ne répond pas"


def test_what_nobody_knows_stays_as_it_is() -> None:
    assert translate("Zähler defekt", "fr") == "Zähler defekt"
    assert len(translate("a: " * 4000, "fr")) == 12000
