"""What arrived and what it got: the proof that requests came, and came signed."""

from collections import deque
from datetime import datetime
from typing import Final

from pydantic import Field

from hakoiri.rehearsal.routes import Operation, Provider
from hakoiri.wire.messages import Message, ShortText

CAPACITY: Final = 1000
TEXT_LIMIT_CHARS: Final = 500
TEXTS_LIMIT: Final = 20
VALID: Final = "valid"
NOT_CHECKED: Final = "not checked"


class Entry(Message):
    """One request. Never holds a secret: of a key only its id, of a signature only a verdict."""

    time: datetime
    method: ShortText
    path: ShortText
    host: ShortText = ""
    """The Host header, which a Bedrock signature covers."""

    provider: Provider
    operation: Operation
    model: ShortText = ""
    identity: ShortText = ""
    """The access key id that was claimed, or `api-key`; empty when the request named none."""

    verdict: ShortText
    """`valid`, why the credentials were refused, or `not checked` if it was refused before that."""

    user_text: ShortText = ""
    user_texts: list[ShortText] = Field(default=[])
    """The newest of what the user said in the request's whole history, oldest first."""

    scene: ShortText = ""
    reply: int | None = None
    attempt: int = 0
    status: int


class Journal:
    """The latest requests, oldest first; bounded."""

    def __init__(self, *, capacity: int = CAPACITY) -> None:
        """Keep at most `capacity` entries."""
        self._entries: deque[Entry] = deque(maxlen=capacity)

    def record(self, entry: Entry) -> None:
        """Add an entry; the oldest goes when the journal is full."""
        self._entries.append(entry)

    def entries(self) -> list[Entry]:
        """All entries, oldest first."""
        return list(self._entries)


def shortened(text: str) -> str:
    """A text from outside as the journal keeps it."""
    return text if len(text) <= TEXT_LIMIT_CHARS else text[: TEXT_LIMIT_CHARS - 1] + "…"
