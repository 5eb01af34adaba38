import io

import pytest
from rich.text import Text

from hakoiri.cli import live_screen
from hakoiri.cli.live_screen import Screen, bytes_bar, percent_bar, spinner

HOSTILE = "a\x1b[2Jb [red]x"


def test_texts_are_cleaned_before_they_are_printed() -> None:
    out = io.StringIO()
    to = Screen(file=out, width=80)
    to.print("a\x1b[2Jb")
    to.print(Text.assemble(("state ", "red"), "a\x1b]0;title\x9cb"))
    to.print(Text.assemble(("fine", "red"), " text"))
    assert out.getvalue() == "a\\x1b[2Jb\nstate a\\x1b]0;title\\x9cb\nfine text\n"


def shown_by_bars(out: io.StringIO, monkeypatch: pytest.MonkeyPatch, *, terminal: bool) -> None:
    def screen(*, stderr: bool = False) -> Screen:
        return Screen(file=out, width=100, force_terminal=terminal, highlight=False)

    monkeypatch.setattr(live_screen, "screen", screen)
    with bytes_bar(HOSTILE, total=10) as move:
        move(advance=5)
    with percent_bar("begin") as move:
        move(description=HOSTILE, completed=50)
        move()
    with spinner(HOSTILE):
        pass


def test_a_bar_on_a_terminal_is_harmless_and_leaves_a_clean_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = io.StringIO()
    shown_by_bars(out, monkeypatch, terminal=True)
    told = out.getvalue()
    assert told.count("a\\x1b[2Jb [red]x") >= 3
    assert "50%" in told
    assert "\x1b[2J" not in told
    assert told.count("\x1b[?25l") == told.count("\x1b[?25h") == 3  # the cursor hidden and shown


def test_nothing_is_shown_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    shown_by_bars(out, monkeypatch, terminal=False)
    assert out.getvalue() == ""


def test_an_interrupt_leaves_the_cursor_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()

    def screen(*, stderr: bool = False) -> Screen:
        return Screen(file=out, width=100, force_terminal=True)

    monkeypatch.setattr(live_screen, "screen", screen)
    with pytest.raises(KeyboardInterrupt), spinner("long"):
        raise KeyboardInterrupt
    assert "\x1b[?25h" in out.getvalue()
    assert out.getvalue().count("\x1b[?25l") == out.getvalue().count("\x1b[?25h")
