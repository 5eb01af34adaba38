"""The types of events that end a turn, for who needs no more of them."""

from typing import Final

TERMINAL_TYPES: Final[frozenset[str]] = frozenset({"result", "error"})
