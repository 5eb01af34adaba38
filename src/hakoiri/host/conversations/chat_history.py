"""A chat's history for the model, built from the conversation's log. Pure."""

from collections.abc import Iterable
from typing import Final

from hakoiri.wire.events import ConversationEvent

HISTORY_LIMIT_CHARS: Final = 2_000_000
"""More than any model reads. Beyond it the oldest exchanges are left out."""


class ChatHistory:
    """Feed it the log from the beginning; it keeps the exchanges that ended well."""

    def __init__(self, *, limit_chars: int = HISTORY_LIMIT_CHARS) -> None:
        self._limit_chars = limit_chars
        self._exchanges: list[tuple[str, str]] = []
        self._chars = 0
        self._asked: str | None = None

    def add(self, events: Iterable[ConversationEvent]) -> None:
        """Take the next events, in order."""
        for event in events:
            if event.type == "user_message":
                self._asked = str(event.data["text"])
            elif event.type == "result" and self._asked is not None:
                self._answer(self._asked, str(event.data["text"]))
            elif event.type == "error":
                self._asked = None

    def messages(self) -> list[tuple[str, str]]:
        """Return (role, text) in turn, user first and last: the last is the open question.

        A message whose turn failed is left out, and so is an empty answer with its question:
        the model's API takes only alternating, non-empty messages.
        """
        messages: list[tuple[str, str]] = []
        for question, answer in self._exchanges:
            messages += [("user", question), ("assistant", answer)]
        if self._asked is not None:
            messages.append(("user", self._asked))
        return messages

    def _answer(self, question: str, answer: str) -> None:
        self._asked = None
        if not answer.strip():
            return
        self._exchanges.append((question, answer))
        self._chars += len(question) + len(answer)
        while self._chars > self._limit_chars and len(self._exchanges) > 1:
            oldest = self._exchanges.pop(0)
            self._chars -= len(oldest[0]) + len(oldest[1])
