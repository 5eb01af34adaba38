from typing import Any

import pytest
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
from hypothesis import example, given
from hypothesis import strategies as st

from hakoiri.wire.agent import EVENT_LINE_LIMIT_BYTES
from hakoiri.wire.events import (
    AgentEvent,
    Error,
    Notice,
    Result,
    SessionStarted,
    TextDelta,
    ThinkingDelta,
    ToolResult,
    ToolUse,
    Usage,
    agent_event_adapter,
)
from hakoiri.wire.messages import EVENT_TEXT_LIMIT_CHARS
from hakoiri.workspace_agent.sdk_events import EventMapper

PROMPT_ID = "9921a404-4bc3-44bb-9b53-3b22259a348c"
SESSION_ID = "e27ffaa4-3a94-444f-aaf3-193dc862ef44"


def events_of(*messages: Message) -> list[AgentEvent]:
    mapper = EventMapper(prompt_id=PROMPT_ID)
    return [event for message in messages for event in mapper.events_of(message)]


def stream(event: dict[str, Any], *, parent: str | None = None) -> StreamEvent:
    return StreamEvent(uuid="u", session_id=SESSION_ID, event=event, parent_tool_use_id=parent)


def message_start(message_id: str) -> StreamEvent:
    return stream({"type": "message_start", "message": {"id": message_id}})


def delta(**fields: Any) -> StreamEvent:
    return stream({"type": "content_block_delta", "index": 0, "delta": fields})


def assistant(*blocks: Any, message_id: str = "m1", **fields: Any) -> AssistantMessage:
    return AssistantMessage(content=list(blocks), model="m", message_id=message_id, **fields)


def result(**fields: Any) -> ResultMessage:
    shape: dict[str, Any] = {
        "subtype": "success",
        "duration_ms": 231,
        "duration_api_ms": 71,
        "is_error": False,
        "num_turns": 2,
        "session_id": SESSION_ID,
        "stop_reason": "end_turn",
        "result": "Hello.",
        "terminal_reason": "completed",
        "user_message_uuids": [PROMPT_ID],
    }
    return ResultMessage(**(shape | fields))


def test_a_whole_turn_becomes_our_events_in_order() -> None:
    usage = {
        "input_tokens": 10,
        "output_tokens": 5,
        "cache_read_input_tokens": 3,
        "cache_creation_input_tokens": 2,
    }
    assert events_of(
        SystemMessage(subtype="init", data={"session_id": SESSION_ID}),
        SystemMessage(subtype="status", data={"status": "requesting"}),
        message_start("m1"),
        delta(type="thinking_delta", thinking="hm"),
        delta(type="text_delta", text="Hel"),
        delta(type="text_delta", text="lo."),
        delta(type="input_json_delta", partial_json="{}"),
        assistant(TextBlock(text="Hello.")),
        assistant(ToolUseBlock(id="t1", name="Bash", input={"command": "ls"})),
        UserMessage(content=[ToolResultBlock(tool_use_id="t1", content="a\nb", is_error=False)]),
        result(usage=usage),
    ) == [
        SessionStarted(session_id=SESSION_ID),
        ThinkingDelta(text="hm"),
        TextDelta(text="Hel"),
        TextDelta(text="lo."),
        ToolUse(tool_use_id="t1", name="Bash", input={"command": "ls"}),
        ToolResult(tool_use_id="t1", text="a\nb"),
        Result(
            text="Hello.",
            stop_reason="end_turn",
            num_turns=2,
            duration_ms=231,
            usage=Usage(
                input_tokens=10, output_tokens=5, cache_read_tokens=3, cache_write_tokens=2
            ),
        ),
    ]


def test_the_session_is_told_once() -> None:
    init = SystemMessage(subtype="init", data={"session_id": SESSION_ID})
    assert events_of(init, init) == [SessionStarted(session_id=SESSION_ID)]


def test_subagents_are_not_heard() -> None:
    assert (
        events_of(
            stream(
                {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "sub"}},
                parent="t1",
            ),
            assistant(ToolUseBlock(id="t2", name="Bash", input={}), parent_tool_use_id="t1"),
            UserMessage(
                content=[ToolResultBlock(tool_use_id="t2", content="x")], parent_tool_use_id="t1"
            ),
        )
        == []
    )


def test_an_answer_that_was_not_streamed_is_told_whole() -> None:
    """The CLI falls back to one plain answer when streams keep breaking off."""
    assert events_of(
        message_start("cut"),
        delta(type="text_delta", text="Hel"),
        assistant(TextBlock(text="Hello."), message_id="whole"),
    ) == [TextDelta(text="Hel"), TextDelta(text="Hello.")]


def test_an_error_in_prose_is_told_by_the_last_event_alone() -> None:
    (event,) = events_of(
        assistant(TextBlock(text="API Error: 529"), error="server_error", message_id="synthetic"),
        result(is_error=True, api_error_status=529, terminal_reason="api_error", result="529"),
    )
    assert isinstance(event, Error)
    assert event.code == "model-overloaded"


def test_a_stream_that_was_cut_is_told_from_a_model_that_is_away() -> None:
    lost = result(is_error=True, terminal_reason="api_error", result="ECONNRESET")
    (*_, cut) = events_of(message_start("m1"), delta(type="text_delta", text="a"), lost)
    (away,) = events_of(lost)
    whole = events_of(message_start("m1"), assistant(TextBlock(text="a")), lost)[-1]
    codes = [event.code for event in (cut, away, whole) if isinstance(event, Error)]
    assert codes == ["model-stream-cut", "model-unreachable", "model-unreachable"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"error_status": 529, "attempt": 1, "max_retries": 10}, "answered 529"),
        ({"error_status": None, "attempt": 1, "max_retries": 10}, "broke off"),
    ],
)
def test_a_retry_is_noticed_since_the_answer_begins_again(data: dict[str, Any], words: str) -> None:
    (event,) = events_of(SystemMessage(subtype="api_retry", data=data))
    assert isinstance(event, Notice)
    assert event.code == "model-retry"
    assert words in event.text


def test_what_the_cli_wants_said_is_a_notice() -> None:
    assert events_of(
        SystemMessage(subtype="informational", data={"content": "stopped"}),
        SystemMessage(subtype="informational", data={"content": 3}),
    ) == [Notice(code="agent-notice", text="stopped")]


def test_the_result_of_work_that_the_agent_took_up_by_itself_is_not_this_turns() -> None:
    notification: Any = {"kind": "task-notification"}
    assert events_of(result(user_message_uuids=["another"])) == []
    assert events_of(result(user_message_uuids=None, origin=notification)) == []
    assert len(events_of(result(user_message_uuids=[], user_message_uuid=PROMPT_ID))) == 1
    assert len(events_of(result(user_message_uuids=None))) == 1


def test_a_tools_answer_in_parts_is_flattened_to_text() -> None:
    parts: list[dict[str, Any]] = [
        {"type": "text", "text": "one"},
        {"type": "image", "source": {}},
        {},
    ]
    (event,) = events_of(UserMessage(content=[ToolResultBlock(tool_use_id="t", content=parts)]))
    assert event == ToolResult(tool_use_id="t", text="one\n[image]\n[unknown]")
    (empty,) = events_of(UserMessage(content=[ToolResultBlock(tool_use_id="t", content=None)]))
    assert empty == ToolResult(tool_use_id="t", text="")


def test_a_tools_answer_that_is_too_long_is_cut_and_says_so() -> None:
    block = ToolResultBlock(tool_use_id="t", content="x" * (EVENT_TEXT_LIMIT_CHARS + 1))
    (event,) = events_of(UserMessage(content=[block]))
    assert isinstance(event, ToolResult)
    assert (len(event.text), event.truncated) == (EVENT_TEXT_LIMIT_CHARS, True)


def test_a_delta_that_is_too_long_comes_in_pieces() -> None:
    text = "x" * EVENT_TEXT_LIMIT_CHARS + "y"
    events = events_of(delta(type="text_delta", text=text))
    assert [len(event.text) for event in events if isinstance(event, TextDelta)] == [
        EVENT_TEXT_LIMIT_CHARS,
        1,
    ]


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"a": value}
    return value


@pytest.mark.parametrize("tool_input", [{"a": "x" * 9_000_000}, {"a": "\x00" * 4_000_000}])
def test_a_tools_input_that_is_too_long_is_shown_in_part(tool_input: dict[str, Any]) -> None:
    (event,) = events_of(assistant(ToolUseBlock(id="t", name="Write", input=tool_input)))
    assert len(event.model_dump_json().encode()) < EVENT_LINE_LIMIT_BYTES
    assert isinstance(event, ToolUse)
    assert list(event.input) == ["truncated"]


def test_a_tools_input_that_is_too_deep_is_not_shown() -> None:
    (event,) = events_of(assistant(ToolUseBlock(id="t", name="Write", input=nested(100_000))))
    assert event == ToolUse(
        tool_use_id="t", name="Write", input={"truncated": "nested too deeply to be shown"}
    )


@example("\ud800")
@example("\x00" * 5000)
@given(st.text(st.characters(codec=None), max_size=50))
def test_any_text_the_cli_can_say_is_an_event_the_host_can_read(text: str) -> None:
    """JSON can carry lone surrogates, which UTF-8 cannot."""
    for event in events_of(
        delta(type="text_delta", text=text),
        delta(type="thinking_delta", thinking=text),
        assistant(ToolUseBlock(id=text, name=text, input={text: [text]})),
        UserMessage(content=[ToolResultBlock(tool_use_id=text, content=text)]),
        SystemMessage(subtype="informational", data={"content": text}),
        result(result=text, stop_reason=text),
        result(result=text, is_error=True),
    ):
        assert agent_event_adapter.validate_json(event.model_dump_json()) == event


@pytest.mark.parametrize(
    "event",
    [{}, {"type": "content_block_delta"}, {"type": "content_block_delta", "delta": 3}],
)
def test_a_stream_event_of_another_shape_is_passed_over(event: dict[str, Any]) -> None:
    assert events_of(stream(event)) == []
