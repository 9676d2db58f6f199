"""The example configurations are right."""

from pathlib import Path

import pytest

from chargepoint.config_check import load

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("file", sorted((ROOT / "config").glob("*.toml")), ids=lambda file: file.name)
def test_an_example_has_no_mistake(file: Path) -> None:
    load(file)
