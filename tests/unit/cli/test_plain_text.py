import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from hakoiri.cli.plain_text import plain, plain_line

OVERRIDES = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


@given(st.text())
def test_no_control_character_reaches_the_terminal(text: str) -> None:
    shown = plain(text)
    assert all(char in "\t\n" or unicodedata.category(char) != "Cc" for char in shown)
    assert not any(unicodedata.bidirectional(char) in OVERRIDES for char in shown)


def test_ordinary_text_stays_as_it_is_and_escapes_become_visible() -> None:
    assert plain("a\tb\nhakoiri 箱入り") == "a\tb\nhakoiri 箱入り"
    assert plain("\x1b[2Jgone\r") == "\\x1b[2Jgone\\x0d"


@given(st.text())
def test_a_line_stays_one_line(text: str) -> None:
    assert len(f"{plain_line(text)}.".splitlines()) == 1
    assert "\t" not in plain_line(text)
