"""Usage in the events of an Anthropic answer, and in its SSE. No I/O.

Source: Anthropic API, "Streaming messages": `message_start` tells the input, `message_delta` the
output so far, `message_stop` that there is no more.
"""

from typing import Any, Final

from hakoiri.credential_proxy.budgets.told_usage import (
    METRICS_FIELD,
    read_object,
    usage_of,
)
from hakoiri.credential_proxy.budgets.usage import Usage

LINE_LIMIT_BYTES: Final = 64 * 1024
"""Events that tell of usage are a few hundred bytes; longer lines are not kept."""

_DATA: Final = b"data:"
_USAGE: Final = b'"usage"'
_STOP: Final = b"message_stop"


class AnthropicEvents:
    """What the events of one answer tell."""

    def __init__(self) -> None:
        self.usage = Usage()
        self.is_final = False
        self.model: str | None = None

    def take(self, event: dict[str, Any]) -> None:
        """Take one event; those that tell nothing are passed over."""
        kind = event.get("type")
        told = None
        if kind == "message_start":
            message = event.get("message")
            if isinstance(message, dict):
                told = message.get("usage")
                model = message.get("model")
                self.model = model if isinstance(model, str) else None
        elif kind == "message_delta":
            told = event.get("usage")
        elif kind == "message_stop":
            self.is_final = self.usage.output_tokens > 0
        metrics = usage_of(event.get(METRICS_FIELD))
        for usage in (usage_of(told), metrics):
            if usage is not None:
                self.usage = self.usage.raised_to(usage)
        if metrics is not None:
            self.is_final = True


class SseUsage:
    """Reads `text/event-stream`: only lines of data that could tell of usage are parsed."""

    def __init__(self) -> None:
        self._events = AnthropicEvents()
        self._line = bytearray()
        self._is_skipping = False

    @property
    def usage(self) -> Usage:
        """What was told so far."""
        return self._events.usage

    @property
    def is_final(self) -> bool:
        """Whether the answer came to its end."""
        return self._events.is_final

    @property
    def model(self) -> str | None:
        """The model that answered."""
        return self._events.model

    def feed(self, piece: bytes) -> None:
        """Take the next bytes."""
        at = piece.find(b"\n")
        if at < 0:
            self._keep(piece)
            return
        if self._line or self._is_skipping:
            self._keep(piece[:at])
            self._end_line()
            piece = piece[at + 1 :]
        last = piece.rfind(b"\n") + 1
        whole = piece[:last]
        if _USAGE in whole or _STOP in whole:
            for line in whole.split(b"\n"):
                self._read(line)
        self._keep(piece[last:])

    def finish(self) -> None:
        """Take what came after the last line break."""
        self._end_line()

    def _keep(self, part: bytes) -> None:
        if self._is_skipping or not part:
            return
        self._line += part
        if len(self._line) > LINE_LIMIT_BYTES:
            self._line.clear()
            self._is_skipping = True

    def _end_line(self) -> None:
        self._read(self._line)
        self._line.clear()
        self._is_skipping = False

    def _read(self, line: bytes | bytearray) -> None:
        if line.startswith(_DATA) and (_USAGE in line or _STOP in line):
            self._events.take(read_object(bytes(line[len(_DATA) :])))
