"""The closed union of events: what an agent may say, and what a conversation's log may hold.

`AgentEvent` is all that is accepted from a container. `ConversationEvent` adds what only the host
says. A conversation's log numbers its events from 1 without gaps; a turn's last event is `result`
or `error`.
"""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, JsonValue, TypeAdapter

from hakoiri.wire.messages import (
    REMEMBERS_NAMES,
    EventText,
    Generation,
    Identifier,
    Message,
    SessionId,
    ShortText,
)


class TextDelta(Message):
    """A piece of the answer, in order."""

    type: Literal["text_delta"] = "text_delta"
    text: EventText


class ThinkingDelta(Message):
    """A piece of the model's visible reasoning, in order."""

    type: Literal["thinking_delta"] = "thinking_delta"
    text: EventText


class ToolUse(Message):
    """The agent calls a tool inside its container."""

    type: Literal["tool_use"] = "tool_use"
    tool_use_id: ShortText
    name: ShortText
    input: dict[str, JsonValue]


class ToolResult(Message):
    """What the tool answered; `truncated` when the agent cut it to the limit."""

    type: Literal["tool_result"] = "tool_result"
    tool_use_id: ShortText
    text: EventText
    is_error: bool = False
    truncated: bool = False


class Notice(Message):
    """Something the reader should know that changes nothing: `code` is stable, `text` is prose."""

    type: Literal["notice"] = "notice"
    code: Identifier
    text: ShortText


class Usage(Message):
    """Tokens as the model counted them over the whole turn."""

    input_tokens: int = Field(default=0, ge=0)
    output_tokens: int = Field(default=0, ge=0)
    cache_read_tokens: int = Field(default=0, ge=0)
    cache_write_tokens: int = Field(default=0, ge=0)


class Result(Message):
    """The turn ended well. `text` is the agent's final answer."""

    type: Literal["result"] = "result"
    text: EventText
    stop_reason: ShortText | None = None
    num_turns: int = Field(default=0, ge=0)
    duration_ms: int = Field(default=0, ge=0)
    usage: Usage = Usage()


class Error(Message):
    """The turn ended badly; `code` is stable, `text` tells the mend, `retryable` if it may pass."""

    type: Literal["error"] = "error"
    code: Identifier
    text: ShortText
    retryable: bool = False


class SessionStarted(Message):
    """Agent to host only: the session id under which the agent's memory is kept."""

    type: Literal["session_started"] = "session_started"
    session_id: SessionId


class UserMessage(Message):
    """What the user said, with which a turn begins.

    Only notices of what happened since the turn before come earlier under the same turn's number.
    """

    type: Literal["user_message"] = "user_message"
    text: EventText


class Queued(Message):
    """The turn waits for a container; `position` counts from 1, of so many `waiting`.

    `reason` is what there is too little of; `services`: engine, guard or proxy does not answer.
    After `limit_s` in all it ends in an `error`.
    """

    type: Literal["queued"] = "queued"
    position: int = Field(ge=1)
    waiting: int = Field(ge=1)
    reason: Literal["places", "memory", "services"] = "places"
    limit_s: float = Field(gt=0, allow_inf_nan=False)


class TurnStarted(Message):
    """The turn runs in `container` (absent in a chat, which has no container)."""

    type: Literal["turn_started"] = "turn_started"
    container: Identifier | None = None
    generation: Generation | None = None
    start: Literal["live", "cold", "warm", "none"] = "none"


class FileSynced(Message):
    """A recovery point was committed: counts of files and bytes, and what was left out and why."""

    type: Literal["file_synced"] = "file_synced"
    recovery_point: Identifier
    uploaded: int = Field(ge=0)
    uploaded_bytes: int = Field(ge=0)
    deleted: int = Field(ge=0)
    kept: int = Field(ge=0)
    left_out: list[ShortText] = Field(default_factory=list)


class ContainerRecovered(Message):
    """A turn goes on in a new container after the old one was lost."""

    type: Literal["container_recovered"] = "container_recovered"
    generation: Generation
    reason: ShortText
    restored_seq: int = Field(ge=0)
    lost_paths: list[ShortText] = Field(default_factory=list)


AgentEvent = Annotated[
    TextDelta | ThinkingDelta | ToolUse | ToolResult | Notice | Result | Error | SessionStarted,
    Field(discriminator="type"),
]
"""What a container may say. Anything else from it is refused."""

EventData = Annotated[
    TextDelta
    | ThinkingDelta
    | ToolUse
    | ToolResult
    | Notice
    | Result
    | Error
    | UserMessage
    | Queued
    | TurnStarted
    | FileSynced
    | ContainerRecovered,
    Field(discriminator="type"),
]
"""What a conversation's log may hold."""

EventType = Literal[
    "user_message",
    "queued",
    "turn_started",
    "text_delta",
    "thinking_delta",
    "tool_use",
    "tool_result",
    "file_synced",
    "container_recovered",
    "notice",
    "result",
    "error",
]

agent_event_adapter: TypeAdapter[AgentEvent] = TypeAdapter(AgentEvent, config=REMEMBERS_NAMES)
event_data_adapter: TypeAdapter[EventData] = TypeAdapter(EventData, config=REMEMBERS_NAMES)


class ConversationEvent(Message):
    """One entry of a conversation's log, and the `data:` of its SSE block.

    `turn` counts from 1. `data` holds the event's own fields without its `type`.
    """

    id: int = Field(ge=1)
    type: EventType
    time: datetime
    conversation_id: Identifier
    turn: int = Field(ge=1)
    data: dict[str, JsonValue]

    @classmethod
    def of(
        cls, *, number: int, time: datetime, conversation_id: str, turn: int, data: EventData
    ) -> "ConversationEvent":
        """Build the log entry for `data`."""
        return cls(
            id=number,
            type=data.type,
            time=time,
            conversation_id=conversation_id,
            turn=turn,
            data=data.model_dump(mode="json", exclude={"type"}),
        )
