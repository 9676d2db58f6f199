"""The page about OCPP 1.6 says nothing that is not so."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))

from check_ocpp16 import PAGE, missing


def test_every_message_key_and_behaviour_has_its_row_and_every_named_test_exists():
    assert missing(PAGE.read_text()) == []


def test_a_page_that_names_a_test_nobody_wrote_is_found_out():
    page = PAGE.read_text() + "\n| X | y | `ocpp_core::test_that_nobody_wrote` |\n"
    assert missing(page) == ["the test test_that_nobody_wrote of ocpp_core does not exist"]
