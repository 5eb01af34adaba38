"""The agent SDK's messages as events of ours: a pure mapping, bounded on the way.

Only the main agent speaks: messages of subagents (those with a `parent_tool_use_id`) are skipped,
since the tool call that started one and its result are there to be read.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

from claude_agent_sdk import (
    AssistantMessage,
    Message,
    ResultMessage,
    StreamEvent,
    SystemMessage,
    TextBlock,
    ToolResultBlock,
    ToolUseBlock,
    UserMessage,
)

from hakoiri.wire.events import (
    AgentEvent,
    Notice,
    Result,
    SessionStarted,
    TextDelta,
    ThinkingDelta,
    ToolResult,
    ToolUse,
    Usage,
)
from hakoiri.wire.messages import EVENT_TEXT_LIMIT_CHARS
from hakoiri.workspace_agent.sdk_errors import result_error

SHORT_LIMIT_CHARS: Final = 4096
INPUT_LIMIT_BYTES: Final = 4 * 1024 * 1024
"""A tool call's input as JSON; half of what one line may hold on the wire."""

INPUT_PREVIEW_CHARS: Final = 100_000


class EventMapper:
    """Maps one turn's messages, in order. Knows only what it has seen of this turn."""

    def __init__(self, *, prompt_id: str) -> None:
        """Map the turn that the user message `prompt_id` (a UUID) started."""
        self.prompt_id = prompt_id
        self._session_id: str | None = None
        self._streamed: set[str] = set()
        self._unfinished: str | None = None

    @property
    def session_id(self) -> str | None:
        """The session's id, once the agent told it."""
        return self._session_id

    def events_of(self, message: Message) -> Iterator[AgentEvent]:
        """Yield the events the message stands for, often none."""
        match message:
            case StreamEvent(parent_tool_use_id=None):
                yield from self._of_stream(message.event)
            case AssistantMessage(parent_tool_use_id=None):
                yield from self._of_assistant(message)
            case UserMessage(parent_tool_use_id=None):
                yield from _of_user(message)
            case SystemMessage():
                yield from self._of_system(message)
            case ResultMessage() if self.is_last(message):
                yield self._of_result(message)
            case _:
                return

    def is_last(self, message: ResultMessage) -> bool:
        """Tell if the result is this turn's, not that of work the agent took up by itself."""
        answered = message.user_message_uuids or (
            [message.user_message_uuid] if message.user_message_uuid else []
        )
        if answered:
            return self.prompt_id in answered
        return message.origin is None or message.origin.get("kind") == "human"

    def _of_stream(self, event: dict[str, Any]) -> Iterator[AgentEvent]:
        if event.get("type") == "message_start":
            self._unfinished = _text_of(event.get("message"), "id")
            self._streamed.add(self._unfinished)
        elif event.get("type") == "content_block_delta":
            delta = event.get("delta")
            match _text_of(delta, "type"):
                case "text_delta":
                    yield from _text_deltas(_text_of(delta, "text"))
                case "thinking_delta":
                    for piece in _pieces(_text_of(delta, "thinking")):
                        yield ThinkingDelta(text=piece)

    def _of_assistant(self, message: AssistantMessage) -> Iterator[AgentEvent]:
        if message.message_id == self._unfinished:
            self._unfinished = None
        # an error in prose, which the result carries too
        is_synthetic = message.error is not None
        # an answer that did not come as a stream has its text only here
        has_streamed = message.message_id in self._streamed
        for block in message.content:
            if isinstance(block, ToolUseBlock):
                yield ToolUse(
                    tool_use_id=short(block.id),
                    name=short(block.name),
                    input=_bounded_input(block.input),
                )
            elif isinstance(block, TextBlock) and not (is_synthetic or has_streamed):
                yield from _text_deltas(block.text)

    def _of_system(self, message: SystemMessage) -> Iterator[AgentEvent]:
        match message.subtype:
            case "init":
                session_id = message.data.get("session_id")
                if isinstance(session_id, str) and session_id != self._session_id:
                    self._session_id = session_id
                    yield SessionStarted(session_id=session_id)
            case "api_retry":
                yield _retry_notice(message.data)
            case "informational":
                content = message.data.get("content")
                if isinstance(content, str) and content:
                    yield Notice(code="agent-notice", text=short(content))
            case "compact_boundary":
                yield Notice(
                    code="memory-compacted", text="The agent summed up the conversation so far."
                )

    def _of_result(self, message: ResultMessage) -> AgentEvent:
        error = result_error(message, was_cut=self._unfinished is not None)
        if error is not None:
            return error
        usage = message.usage or {}
        return Result(
            text=clean(message.result or "")[:EVENT_TEXT_LIMIT_CHARS],
            stop_reason=None if message.stop_reason is None else short(message.stop_reason),
            num_turns=max(message.num_turns, 0),
            duration_ms=max(message.duration_ms, 0),
            usage=Usage(
                input_tokens=_count(usage, "input_tokens"),
                output_tokens=_count(usage, "output_tokens"),
                cache_read_tokens=_count(usage, "cache_read_input_tokens"),
                cache_write_tokens=_count(usage, "cache_creation_input_tokens"),
            ),
        )


def clean(text: str) -> str:
    """Return the text without lone surrogates, which JSON can carry and UTF-8 cannot."""
    return text.encode("utf-8", errors="replace").decode("utf-8")


def short(text: str) -> str:
    """Return the text clean and cut to what a short field may hold."""
    return clean(text[:SHORT_LIMIT_CHARS])


def _of_user(message: UserMessage) -> Iterator[AgentEvent]:
    if isinstance(message.content, str):
        return
    for block in message.content:
        if isinstance(block, ToolResultBlock):
            text = _flat_text(block.content)
            yield ToolResult(
                tool_use_id=short(block.tool_use_id),
                text=clean(text[:EVENT_TEXT_LIMIT_CHARS]),
                is_error=bool(block.is_error),
                truncated=len(text) > EVENT_TEXT_LIMIT_CHARS,
            )


def _flat_text(content: str | list[dict[str, Any]] | None) -> str:
    """Return a tool's answer as text; what is not text is named in brackets."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    return "\n".join(
        _text_of(part, "text")
        if _text_of(part, "type") == "text"
        else f"[{_text_of(part, 'type') or 'unknown'}]"
        for part in content
    )


def _retry_notice(data: dict[str, Any]) -> Notice:
    status = data.get("error_status")
    reason = (
        f"answered {status}" if isinstance(status, int) else "could not be reached or broke off"
    )
    attempt, limit = data.get("attempt"), data.get("max_retries")
    return Notice(
        code="model-retry",
        text=f"The model {reason}; the answer begins again (attempt {attempt} of {limit})."[:4096],
    )


def _bounded_input(tool_input: dict[str, Any]) -> dict[str, Any]:
    """Return the input as clean JSON; one that is too large or too deep as a cut preview."""
    try:
        encoded = json.dumps(tool_input, ensure_ascii=False)
        if len(encoded.encode("utf-8", errors="replace")) <= INPUT_LIMIT_BYTES:
            decoded: dict[str, Any] = json.loads(clean(encoded))
            return decoded
    except RecursionError:
        return {"truncated": "nested too deeply to be shown"}
    return {"truncated": clean(encoded[:INPUT_PREVIEW_CHARS])}


def _text_deltas(text: str) -> Iterator[TextDelta]:
    for piece in _pieces(text):
        yield TextDelta(text=piece)


def _pieces(text: str) -> Iterator[str]:
    for start in range(0, len(text), EVENT_TEXT_LIMIT_CHARS):
        yield clean(text[start : start + EVENT_TEXT_LIMIT_CHARS])


def _text_of(value: object, name: str) -> str:
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, str) else ""


def _count(usage: dict[str, Any], name: str) -> int:
    value = usage.get(name)
    return max(value, 0) if isinstance(value, int) else 0
