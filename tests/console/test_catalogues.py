"""Every sentence a technician reads stands in both languages, and every command in the documentation."""

import ast
import importlib.util
import string
from pathlib import Path
from types import SimpleNamespace

import pytest

from chargepoint.connectors import KINDS
from chargepoint.console import console, pages, updating
from chargepoint.console.french import FRENCH
from chargepoint.console.language import Language
from chargepoint.console.session import KEYS
from chargepoint.faults import FAULTS
from chargepoint.station.api import ConnectorStatus, StopReason

ROOM = Path(console.__file__).parent


def said() -> set[str]:
    """What the console's code says in English: arguments of `t`, of commands, and of errors that are translated."""
    found: set[str] = {status.value for status in ConnectorStatus} | {"raised", "cleared", "audit", *KEYS}
    found |= {*KINDS.values(), *(reason.value for reason in StopReason)}
    found |= {*pages.LABELS.values(), *updating.STEPS.values()}
    for file in ROOM.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Call(func=ast.Attribute(attr="t") | ast.Name(id="t"), args=[ast.Constant(value=text), *_]):
                    found.add(text)
                case ast.Call(func=ast.Name(id="Command"), args=[_, _, ast.Constant(value=text), *_]):
                    found.add(text)
                case ast.Call(
                    func=ast.Name(id="BadPin" | "Unreachable" | "SafetySilent"), args=[ast.Constant(value=text)]
                ):
                    found.add(text)
                case ast.ListComp(
                    elt=ast.Call(func=func), generators=[ast.comprehension(iter=ast.Tuple(elts=words))]
                ) if ast.unparse(func).endswith("t"):
                    found |= {word.value for word in words if isinstance(word, ast.Constant)}
    return found


def test_the_french_catalogue_has_every_sentence() -> None:
    assert said() - set(FRENCH) == set()


def test_the_french_catalogue_has_nothing_that_nobody_says() -> None:
    text = "".join(file.read_text() for file in ROOM.glob("*.py") if file.name != "french.py")
    assert [key for key in set(FRENCH) - said() if f'"{key}"' not in text] == []


@pytest.mark.parametrize("english", FRENCH)
def test_a_translation_fills_in_the_same_words(english: str) -> None:
    def fields(text: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    assert fields(FRENCH[english]) == fields(english)
    assert FRENCH[english].strip()


def test_every_fault_has_its_sentence_in_both_languages() -> None:
    for row in FAULTS.values():
        assert row.en
        assert row.fr
        assert row.en != row.fr


def test_every_command_is_in_the_manual_page() -> None:
    spec = importlib.util.spec_from_file_location("pages", ROOM.parents[2] / "packaging" / "pages.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    page = made.man("1.0")
    for command in console.COMMANDS:
        assert made._escaped(f"{command.name} {command.usage}".rstrip()) in page
        assert made._escaped(command.text) in page


def test_every_command_is_in_the_documentation() -> None:
    text = (Path(__file__).parents[2] / "docs" / "console.md").read_text()
    for command in console.COMMANDS:
        assert f"`{command.name}" in text, command.name


def test_why_a_session_ended_is_told_in_words_and_what_nobody_knows_stays() -> None:
    french = SimpleNamespace(t=Language("fr"))
    assert pages._ended_by(french, "EVDisconnected") == "véhicule débranché"  # type: ignore[arg-type]
    assert pages._ended_by(french, "{x}\x1b[2J") == "{x}\\x1b[2J"  # type: ignore[arg-type]
