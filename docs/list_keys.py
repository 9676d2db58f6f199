"""Lists the configuration's keys from the code: `./dev run python docs/list_keys.py` writes `docs/configuration.md`."""

import ast
import inspect
from pathlib import Path
from typing import Any

import msgspec

from chargepoint import config
from chargepoint.config_check import allowed, section_of

PAGE = """\
# Configuration

One TOML file for all processes, `/etc/chargepoint/chargepoint.toml`. `chargepoint check` names every mistake in it at
once. Keys without a default must be there. Examples: `config/simulated.toml`, `config/chargepoint.toml`.

Made from `config.py` by `docs/list_keys.py`; a test compares.

{sections}
## Files
`<state_dir>/chargepoint.db` is the journal (SQLite, with `-wal`, `-shm` and `-mark` beside it),
`<state_dir>/evse.json` what the safety process must remember across a restart (latched faults, counters), and
`<state_dir>/evse.bak` its copy.
Nothing else holds state.
"""


def remarks(kind: type[msgspec.Struct]) -> dict[str, str]:
    """What the code says below each field."""
    tree = ast.parse(inspect.getsource(kind)).body[0]
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for entry, below in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(entry, ast.AnnAssign) and isinstance(entry.target, ast.Name):
            text = below.value.value if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) else ""
            found[entry.target.id] = " ".join(str(text).split())
    return found


def sections(kind: type[msgspec.Struct], path: str) -> list[str]:
    """The table of one section, then those of the sections in it."""
    said = remarks(kind)
    rows, inner = [], []
    for field in msgspec.structs.fields(kind):
        name = field.encode_name
        section, several = section_of(field.type)
        if section is None:
            text = said.get(name, "").replace("|", "\\|")
            rows.append(
                f"| `{name}` | {allowed(field.type).replace(' (without quotes)', '')} | {_default(field)} | {text} |"
            )
        elif section.__name__ in ("MeterRef", "DomesticSection", "ControllerSection"):
            keys = ", ".join(f"{key.encode_name} = ..." for key in msgspec.structs.fields(section))
            rows.append(f"| `{name}` | a table `{{ {keys} }}` | {_default(field)} | {said.get(name, '')} |")
            inner += sections(section, f"{path}.{name}")
        else:
            inner += sections(section, f"[[{name}]]" if several else f"[{name}]")
    if not path:
        return inner
    about = " ".join((inspect.getdoc(kind) or "").split())
    about = "" if about == " ".join((inspect.getdoc(config._Section) or "").split()) else about
    head = ["", f"## `{path}`", *([about, ""] if about else [""]), "| key | what may stand there | default | meaning |"]
    return [*head, "|---|---|---|---|", *rows, *inner]


def _default(field: Any) -> str:
    if field.required:
        return ""
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    match value:
        case None:
            return "none"
        case bool():
            return str(value).lower()
        case str() | Path():
            return f'`"{value}"`'
        case () | {}:
            return "empty"
        case _:
            return str(value)


def page() -> str:
    """The whole page."""
    return PAGE.format(sections="\n".join(sections(config.Config, "")) + "\n")


if __name__ == "__main__":
    (Path(__file__).parent / "configuration.md").write_text(page())
