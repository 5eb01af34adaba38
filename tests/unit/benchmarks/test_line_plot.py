from xml.etree import ElementTree as ET

from benchmarks.line_plot import page

SVG = "{http://www.w3.org/2000/svg}"


def test_each_series_is_a_line_over_the_axis() -> None:
    drawn = page("many & more", "conversations", [1, 2, 3], {"a<b": [0, 5, 10], "c": [4, 4, 4]})
    root = ET.fromstring(drawn)  # noqa: S314 - our own
    lines = [line.attrib["points"] for line in root.iter(f"{SVG}polyline")]
    assert lines == ["0.0,120.0 210.0,60.0 420.0,0.0", "0.0,0.0 210.0,0.0 420.0,0.0"]
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert {"many & more", "a<b", "10", "3 conversations"} <= set(texts)


def test_what_is_zero_throughout_can_be_drawn() -> None:
    assert "0.0,120.0" in page("none", "x", [1, 2], {"nothing": [0, 0]})
