"""Pictures: well-formed, complete, and readable on a plain terminal."""

import io
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from asked_rig import Asked, person, said
from PIL import Image

from chargepoint.console import drawing
from chargepoint.console.drawing import SCALE, dashes
from chargepoint.console.picture import COLOURS, Event, Picture, Series, Track

SVG = "{http://www.w3.org/2000/svg}"


def picture(*points: tuple[float, float | None], events: tuple[Event, ...] = ()) -> Picture:
    track = Track(
        "Power <of> point", "kW", [Series("a & b", points), Series("flat", [(0.0, 1.0), (4.0, 1.0)])], low=0, high=10
    )
    return Picture("A <session>", [track], events)


def test_the_svg_is_well_formed_and_names_everything() -> None:
    page = ElementTree.fromstring(picture((0.0, 0.0), (4.0, 10.0), events=(Event(2.0, 'badge "<x>"'),)).svg())
    texts = [text.text for text in page.iter(f"{SVG}text")]
    assert "A <session>" in texts
    assert "Power <of> point (kW)" in texts
    assert any('2.0 s  badge "<x>"' in (text or "") for text in texts)


def test_a_missing_value_leaves_a_gap() -> None:
    page = ElementTree.fromstring(picture((0.0, 1.0), (1.0, 1.0), (2.0, None), (3.0, 2.0), (4.0, 2.0)).svg())
    lines = [line for line in page.iter(f"{SVG}polyline") if line.get("stroke") == COLOURS[0]]
    assert len(lines) == 2 + 1  # and the one of the legend


def test_a_line_rises_on_the_terminal_from_lower_left_to_upper_right() -> None:
    lines = picture(*[(float(t), t * 2.5) for t in range(5)]).sketch(width=48, height=5)
    rows = [line.split("|", 1)[1] for line in lines if "|" in line]
    assert rows[0].rstrip().endswith("*")
    assert "*" not in rows[0][:20]
    assert rows[-1].startswith("*")
    assert all(len(line) <= 48 and line.isascii() for line in lines)


def test_a_picture_of_nothing_is_still_a_picture() -> None:
    empty = Picture("nothing", [Track("t", "V", [Series("s", [])])])
    ElementTree.fromstring(empty.svg())
    assert empty.sketch()


def test_the_png_shows_the_line_where_the_svg_has_it() -> None:
    drawn = picture((0.0, 0.0), (4.0, 10.0))
    page = ElementTree.fromstring(drawn.svg())
    image = Image.open(io.BytesIO(drawn.png()))
    assert image.size == (int(page.get("width", "")) * SCALE, int(page.get("height", "")) * SCALE)
    line = next(line for line in page.iter(f"{SVG}polyline") if line.get("stroke") == COLOURS[0])
    first, last = ([float(number) * SCALE for number in point.split(",")] for point in line.get("points", "").split())
    middle = (round((first[0] + last[0]) / 2), round((first[1] + last[1]) / 2))
    assert "#{:02x}{:02x}{:02x}".format(*image.getpixel(middle)) == COLOURS[0]


def test_without_a_font_that_has_them_a_text_loses_its_accents_and_no_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    def pixels(text: str) -> bytes:
        return drawing.png([drawing.Text((10, 30), text)], 200, 40)

    monkeypatch.setattr(drawing, "FONT_FILE", "no-such-font.ttf")
    assert pixels("température") == pixels("temperature") != pixels("temprature")


def test_a_picture_goes_to_the_kind_of_file_that_its_name_says(tmp_path: Path) -> None:
    for name, begins in (("a.svg", b"<svg "), ("a.png", b"\x89PNG\r\n")):
        picture((0.0, 1.0), (1.0, 2.0)).write(tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(begins)


def test_dashes_cut_a_line_by_its_length_around_corners() -> None:
    line = [(0.0, 0.0), (4.0, 0.0), (4.0, 3.0)]
    assert list(dashes(line, [3.0, 2.0])) == [[(0.0, 0.0), (3.0, 0.0)], [(4.0, 1.0), (4.0, 3.0)]]
    assert list(dashes(line, [])) == [line]
    assert list(dashes([(0.0, 0.0), (1.0, 0.0)], [3.0, 2.0])) == [[(0.0, 0.0), (1.0, 0.0)]]


def test_without_pillow_there_is_svg_and_no_png(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert not drawing.can_png()
    assert picture((0.0, 1.0), (1.0, 2.0)).svg().startswith("<svg")
    with pytest.raises(drawing.NoPng):
        picture((0.0, 1.0), (1.0, 2.0)).png()


def test_a_pillow_without_a_font_of_its_own_needs_one_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    def before_10_1() -> None: ...

    monkeypatch.setattr(drawing, "FONT_FILE", "no-such-font.ttf")
    assert drawing.can_png()
    monkeypatch.setattr("PIL.ImageFont.load_default", before_10_1)
    assert not drawing.can_png()


def test_a_png_that_cannot_be_written_is_refused_before_anything_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    session = person(tmp_path, Asked())
    assert "A PNG needs the packages python3-pil" in said(session, f"trace 1 3600 {tmp_path}/a.png")
    assert list(tmp_path.glob("a.*")) == []
