"""Events as a person reads them in a terminal: who speaks in the first column, the words beside it.

What a container, a model or a user said stands beside its label, indented, so that no line of it
passes for one of ours.
"""

from collections.abc import Mapping
from typing import Any, Final

from rich.markup import escape

from hakoiri.cli.event_lines import line_of
from hakoiri.cli.live_screen import Screen
from hakoiri.cli.plain_text import plain

LABEL_WIDTH: Final = 7
LABEL_LIMIT_CHARS: Final = 40
"""A tool's name is the container's to choose."""

STREAMED: Final = {
    "text_delta": ("agent", "bold green", ""),
    "thinking_delta": ("thinks", "dim", "dim italic"),
}
"""What comes in pieces: its label, the label's style, and the words'."""


class EventPrinter:
    """Prints a conversation's events as they come."""

    def __init__(self, on: Screen) -> None:
        """Print to the screen."""
        self._screen = on
        self._streamed = ""
        self._held_back = ""

    def show(self, event: Mapping[str, Any]) -> None:
        """Print one event."""
        kind, data = event["type"], event["data"]
        if kind in STREAMED:
            self._stream(kind, str(data["text"]))
            return
        self.end_line()
        line = line_of(kind, data)
        if line is not None:
            style = line.style if line.is_styled else ""
            self._begin(line.label, line.style)
            self._screen.print(_beside(line.words.rstrip()), style=style, soft_wrap=True)

    def _stream(self, kind: str, piece: str) -> None:
        label, label_style, style = STREAMED[kind]
        if self._streamed != kind:
            self.end_line()
            self._streamed = kind
            self._begin(label, label_style)
        # Line ends are held back until something follows; a text often ends with one.
        text = self._held_back + piece
        words = text.rstrip("\n")
        self._held_back = text[len(words) :]
        self._screen.print(_beside(words), style=style, end="", soft_wrap=True)

    def end_line(self) -> None:
        """End the line of a streamed text, so that something else can follow."""
        if self._streamed:
            self._screen.print()
        self._streamed = self._held_back = ""

    def _begin(self, label: str, style: str) -> None:
        name = " ".join(plain(label).split())[:LABEL_LIMIT_CHARS]
        self._screen.print(escape(f"{name} ".ljust(LABEL_WIDTH)), style=style, end="")


def _beside(words: str) -> str:
    """Return words, harmless, each line of them but the first as far in as the first."""
    return escape(plain(words).replace("\n", "\n" + " " * LABEL_WIDTH))
