"""Pictures: well-formed, complete, and readable on a plain terminal."""

import xml.etree.ElementTree as ElementTree

from chargepoint.console.picture import Event, Picture, Series, Track

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
    assert len(list(page.iter(f"{SVG}polyline"))) == 2 + 1


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
