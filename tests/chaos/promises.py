"""What the API acknowledged and showed to the load, kept for the day of reckoning. Pure."""

from dataclasses import dataclass, field
from typing import Any, Literal

Outcome = Literal["acknowledged", "unknown", "refused"]
"""A success was answered; nothing was, or something unclear; a problem was."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A message with a text that no other message has; `turn` and `event` as acknowledged."""

    text: str
    outcome: Outcome
    turn: int | None = None
    event: int | None = None


@dataclass(frozen=True, slots=True)
class Wrote:
    """A file that a turn's command writes, once and for all; it says `word` when it has."""

    path: str
    content: bytes
    word: str


@dataclass(slots=True)
class Promises:
    """What one conversation was promised.

    `files`: contents by path, None for a removal, as acknowledged by `PUT`, `DELETE` or a command's
    exit. `doubtful`: paths whose last change was not acknowledged. `wrote`: what turns write.
    `seen`: events that streams showed, in their order. `interrupted`: turns that were asked to end.
    `faults`: what was wrong on the spot. A chat has no container and no files.
    """

    conversation: str
    tenant: str
    is_chat: bool = False
    sent: list[Sent] = field(default_factory=list)
    files: dict[str, bytes | None] = field(default_factory=dict)
    doubtful: set[str] = field(default_factory=set)
    wrote: list[Wrote] = field(default_factory=list)
    seen: list[dict[str, Any]] = field(default_factory=list)
    interrupted: set[int] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)

    def texts(self) -> frozenset[str]:
        """All that was said, whatever became of it."""
        return frozenset(sent.text for sent in self.sent)
