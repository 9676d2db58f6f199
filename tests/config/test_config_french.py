"""Every mistake of a configuration has its French, and who writes a French configuration is told in French."""

import ast
import re
from pathlib import Path

import pytest

from chargepoint.config_check import ConfigError, parse
from chargepoint.config_french import FRENCH, translate
from chargepoint.config_lines import written_language
from chargepoint.console import check

SOURCE = Path(check.__file__).parents[1]
FILES = ("config_check.py", "config_hardware.py", "config_lines.py", "console/check.py", "board/pins.py")
KEYS = "ocpp/v16/keys.py"
"""Its errors are told by `check`; its other texts go to the central system."""
NOT_SAID = {"no conversion to {}", "{} mistakes", "1 mistake", "line {}: ", "warning: ", "avertissement : ", "{}: {}"}
FRENCH_THERE = {"ligne {} : ", "1 erreur", "{} erreurs", "{} : {}"}


def texts(tree: ast.AST) -> set[str]:
    """Strings with a space in them, f-strings as templates, without docstrings and parts of f-strings."""
    passed = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            passed |= {id(part) for part in node.values}
            whole = "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
            found.add(re.sub(r"(\{\})+", "{}", whole))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in passed:
            found.add(node.value)
    return {text for text in found if " " in text.strip() and any(map(str.isalpha, text.replace("{}", "")))}


def said() -> set[str]:
    found: set[str] = set()
    for name in FILES:
        found |= texts(ast.parse((SOURCE / name).read_text()))
    for node in ast.walk(ast.parse((SOURCE / KEYS).read_text())):
        if isinstance(node, ast.Raise) and node.exc is not None:
            found |= texts(node.exc)
    return found - NOT_SAID - FRENCH_THERE


def test_every_mistake_has_its_french() -> None:
    assert sorted(said() - set(FRENCH)) == [], "add them to chargepoint/config_french.py"


@pytest.mark.parametrize("english", FRENCH)
def test_a_sentence_keeps_its_values_in_french(english: str) -> None:
    values = [f"<{number}>" for number in range(english.count("{}"))]
    french = translate(english.replace("{}", "%s") % tuple(values), "fr")
    assert all(value in french for value in values), french


BROKEN = """
[station]
id = "X"
language = "fr"
[supply]
max_current = "52 A"
[board]
kind = "simulatd"
[[evse]]
id = 1
max_current = 32
metre = 3
[[evse]]
id = 1
max_current = 32
meter = { model = "eastron-sdm63", unit = 1 }
[lamps]
charging = "pink"
"""


def mistakes(lang: str) -> list[str]:
    with pytest.raises(ConfigError) as found:
        parse(BROKEN)
    return [line.strip() for line in found.value.said(lang).splitlines()]


def test_a_configuration_full_of_mistakes_is_told_in_french() -> None:
    assert mistakes("fr") == [
        "configuration : 6 erreurs",
        'ligne 6 : supply.max_current : vaut "52 A", mais doit être un nombre supérieur à 0, au plus 1000 '
        "(sans guillemets)",
        'ligne 8 : board.kind : vaut "simulatd", mais doit être "modbus-pilot", "raspberry-pi" ou "simulated" ; '
        'vouliez-vous dire "simulated" ?',
        'ligne 12 : evse[0].metre : clé inconnue ; vouliez-vous dire "meter" ?',
        "ligne 14 : evse[1].id : vaut 1, comme evse[0] : chaque point a le sien",
        'ligne 16 : evse[1].meter.model : vaut "eastron-sdm63", qui n\'a pas de table de registres ; '
        'vouliez-vous dire "eastron-sdm630" ?',
        'ligne 18 : lamps.charging : vaut "pink", mais doit être une couleur, puis les millisecondes allumé et éteint '
        ': "red 500 500"',
    ]
    assert mistakes("en")[1].startswith('line 6: supply.max_current: is "52 A", but must be a number above 0')


def test_what_somebody_wrote_stays_as_it_is() -> None:
    assert translate('is "this or that", but must be "a" or "b"', "fr") == (
        'vaut "this or that", mais doit être "a" ou "b"'
    )


@pytest.mark.parametrize(
    ("text", "lang"),
    [
        ('[station]\nlanguage = "fr"\n', "fr"),
        ("[station\n  language='fr' # broken above", "fr"),
        ('language = "en"', "en"),
        ('# language = "fr"', "en"),
        ('[station]\nid = "X"', "en"),
        ('language = "de"', "en"),
    ],
)
def test_the_language_is_the_one_that_the_file_names(tmp_path: Path, text: str, lang: str) -> None:
    file = tmp_path / "c.toml"
    file.write_text(text)
    assert written_language(file) == lang
    assert written_language(tmp_path / "none") == "en"


def test_check_speaks_french_of_a_french_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "c.toml"
    file.write_text(BROKEN.replace('"52 A"', "52").replace("simulatd", "simulated"))
    assert check.run(file) == 2
    assert "clé inconnue" in capsys.readouterr().err
    good = '[station]\nid = "X"\nlanguage = "fr"\n[supply]\nmax_current = 20\n[board]\nkind = "simulated"\n'
    file.write_text(good + "[[evse]]\nid = 1\nmax_current = 32\n")
    assert check.run(file) == 0
    out = capsys.readouterr().out
    assert "avertissement : evse[0].max_current : vaut 32 A, mais l'alimentation de la borne donne 20 A au plus" in out
    assert out.endswith("1 points, aucune erreur\n")
    file.write_text(
        good.replace('kind = "simulated"\n', 'kind = "simulated"\n[board.pins]\ndoor = "EXP31"\n')
        + ("[[evse]]\nid = 1\nmax_current = 20\n")
    )
    assert check.run(file) == 2
    assert "board.pins.door : EXP31 ne peut être qu'une sortie sur un MCP23017" in capsys.readouterr().err
