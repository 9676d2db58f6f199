"""What the documentation says is still so."""

import importlib.util
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_drawn_state_machines_are_those_of_the_code() -> None:
    spec = importlib.util.spec_from_file_location("draw_machines", ROOT / "docs" / "draw_machines.py")
    assert spec is not None and spec.loader is not None
    draw_machines = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(draw_machines)
    assert draw_machines.page() == (ROOT / "docs" / "machines.md").read_text(), "run docs/draw_machines.py"


def test_links_between_pages_lead_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
