"""The events of a Claude answer, turned into ours without I/O.

The same JSON events come in Anthropic's SSE and in Bedrock's frames. Source: Anthropic's "Streaming
Messages" (message_start, content_block_delta, message_delta, message_stop, error, ping). Types that
are not known are skipped, as that page asks.
"""

import base64
import binascii
import json
from collections.abc import Callable
from typing import Any, Final

from pydantic import ValidationError

from hakoiri.host.adapters.event_stream_frames import Frame
from hakoiri.host.conversations.ports import ChatModelError
from hakoiri.wire.events import Error, EventData, Result, TextDelta, ThinkingDelta, Usage
from hakoiri.wire.messages import EVENT_TEXT_LIMIT_CHARS

CODE_LIMIT_CHARS: Final = 40
OVERLOADED: Final = frozenset({"overloaded_error", "rate_limit_error", "api_error"})


class ModelAnswer:
    """Feed it the events of one answer in order; it gives ours and, at the end, the `result`."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._chars = 0
        self._stop_reason: str | None = None
        self._counts: dict[str, int] = {}
        self.is_complete = False

    def take(self, document: str | bytes) -> list[EventData]:
        """Take one event; return what it means for the log. Raises `ChatModelError`."""
        try:
            return self._take(document)
        except ValidationError as error:  # a lone surrogate, say
            raise ChatModelError("a piece of the answer is not text") from error

    def _take(self, document: str | bytes) -> list[EventData]:
        event = _object(document)
        kind = event.get("type")
        if kind == "content_block_delta":
            return self._delta(_dictionary(event.get("delta")))
        if kind == "message_start":
            self._count(_dictionary(_dictionary(event.get("message")).get("usage")))
        elif kind == "message_delta":
            self._count(_dictionary(event.get("usage")))
            reason = _dictionary(event.get("delta")).get("stop_reason")
            self._stop_reason = str(reason)[:100] if reason else self._stop_reason
        elif kind == "message_stop":
            self.is_complete = True
            return [self._result()]
        elif kind == "error":
            self.is_complete = True
            return [_error(_dictionary(event.get("error")))]
        return []

    def _delta(self, delta: dict[str, Any]) -> list[EventData]:
        make: Callable[[str], EventData] | None = None
        text = ""
        if delta.get("type") == "text_delta":
            text, make = str(delta.get("text", "")), lambda part: TextDelta(text=part)
            self._text.append(text)
        elif delta.get("type") == "thinking_delta":
            text, make = str(delta.get("thinking", "")), lambda part: ThinkingDelta(text=part)
        self._chars += len(text)
        if self._chars > EVENT_TEXT_LIMIT_CHARS:
            raise ChatModelError(f"the answer is longer than {EVENT_TEXT_LIMIT_CHARS} characters")
        return [make(text)] if make and text else []

    def _count(self, usage: dict[str, Any]) -> None:
        for name, value in usage.items():
            if isinstance(value, int) and value >= 0:
                self._counts[name] = value

    def _result(self) -> Result:
        return Result(
            text="".join(self._text),
            stop_reason=self._stop_reason,
            num_turns=1,
            usage=Usage(
                input_tokens=self._counts.get("input_tokens", 0),
                output_tokens=self._counts.get("output_tokens", 0),
                cache_read_tokens=self._counts.get("cache_read_input_tokens", 0),
                cache_write_tokens=self._counts.get("cache_creation_input_tokens", 0),
            ),
        )


def event_of_frame(frame: Frame) -> bytes:
    """Return the event that a Bedrock frame carries. Raises `ChatModelError` for exceptions."""
    if frame.headers.get(":message-type") != "event":
        kind = frame.headers.get(":exception-type") or frame.headers.get(":error-code") or "error"
        raise ChatModelError(f"{kind[:100]}: {_message(frame.payload)}")
    payload = _object(frame.payload)
    try:
        return base64.b64decode(str(payload.get("bytes", "")), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ChatModelError("a piece of the answer is not base64") from error


def _error(error: dict[str, Any]) -> Error:
    kind = str(error.get("type", "error"))
    code = "".join(letter for letter in kind.replace("_", "-").lower() if letter in _CODE_LETTERS)
    return Error(
        code=f"model-{code[:CODE_LIMIT_CHARS] or 'error'}",
        text=str(error.get("message", ""))[:4096],
        retryable=kind in OVERLOADED,
    )


_CODE_LETTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")


def _message(payload: bytes) -> str:
    try:
        return str(_object(payload).get("message", ""))[:500]
    except ChatModelError:
        return "no reason given"


def _object(document: str | bytes) -> dict[str, Any]:
    try:
        return _dictionary(json.loads(document))
    except (ValueError, RecursionError) as error:
        raise ChatModelError("a piece of the answer is not JSON") from error


def _dictionary(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
