"""The example configurations are right, and the documentation knows every key."""

from pathlib import Path

import msgspec
import pytest

from chargepoint import config
from chargepoint.config_check import load

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("file", sorted((ROOT / "config").glob("*.toml")), ids=lambda file: file.name)
def test_an_example_has_no_mistake(file: Path) -> None:
    load(file)


@pytest.mark.parametrize(
    "section",
    [kind for kind in vars(config).values() if isinstance(kind, type) and issubclass(kind, msgspec.Struct)],
    ids=lambda kind: kind.__name__,
)
def test_every_key_stands_in_the_documentation(section: type[msgspec.Struct]) -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    for field in msgspec.structs.fields(section):
        name = field.encode_name
        assert any(
            form in text
            for form in (f"`{name}`", f"[{name}]", f"`{name} =", f"{{ {name} =", f", {name} =", f"[ocpp.{name}]")
        ), name
