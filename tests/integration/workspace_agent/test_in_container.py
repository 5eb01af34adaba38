"""The agent in its sealed container, with the real CLI and the rehearsal as its model."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.rehearsal.server import API_KEY, Server, rehearsal
from tests.integration.workspace_agent.boxes import box

from hakoiri.host.containers.ports import AgentUnreachableError
from hakoiri.wire.agent import AgentOptions
from hakoiri.wire.events import AgentEvent, Error, Result, SessionStarted, ToolResult, ToolUse

pytestmark = [pytest.mark.engine, pytest.mark.anyio]

CLAUDE = "_bundled/claude"

SCRIPT = """
scenes:
  - name: default
    replies: [{say: "You said {{user_text}}"}]
  - name: bash
    when: write a file
    replies:
      - use: [{tool: Bash, input: {command: "echo kept > note.txt; id -u; cat note.txt"}}]
      - say: "It says {{last_tool_result}}"
  - name: memory
    when: do you remember
    replies: [{say: "You first said {{first_user_text}}"}]
  - name: slow
    when: take your time
    replies: [{say: one two three four five six seven eight nine ten, delta_delay_s: 1}]
  - name: overloaded
    when: be overloaded
    replies: [{say: never, error: {status: 529}}]
  - name: kill
    when: kill yourself
    replies:
      - use: [{tool: Bash, input: {command: "kill -9 $PPID"}}]
      - say: I should not be here.
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    script = tmp_path_factory.mktemp("model") / "script.yaml"
    script.write_text(SCRIPT)
    with rehearsal(script=script) as server:
        yield server


def last_of(events: list[AgentEvent]) -> Result | Error:
    (*_, last) = events
    assert isinstance(last, Result | Error)
    return last


async def test_without_a_model_a_turn_ends_in_one_clear_error(image: str, tmp_path: Path) -> None:
    async with box(image, tmp_path) as it:
        assert (await it.agent.health()).state == "ready"
        events = await it.turn("hello")
        (error,) = [event for event in events if isinstance(event, Error)]
        assert error is events[-1]
        assert (error.code, error.retryable) == ("model-unreachable", True)
        assert (await it.agent.health()).state == "ready"


async def test_a_turn_works_in_the_workspace_and_its_session_outlives_the_container(
    image: str, tmp_path: Path, model: Server
) -> None:
    async with box(image, tmp_path, model_port=model.port, api_key=API_KEY) as it:
        events = await it.turn("write a file")
        session_id = it.session_id
    types = [type(event) for event in events if event.type not in ("text_delta", "notice")]
    assert types == [SessionStarted, ToolUse, ToolResult, Result]
    (answer,) = [event for event in events if isinstance(event, ToolResult)]
    assert answer.text == "1000\nkept"
    assert (tmp_path / "workspace/note.txt").read_text() == "kept\n"
    async with box(image, tmp_path, model_port=model.port, api_key=API_KEY) as it:
        it.session_id = session_id
        last = last_of(await it.turn("do you remember"))
    assert isinstance(last, Result)
    assert last.text == "You first said write a file"


async def test_the_next_turn_uses_the_same_process_and_other_options_another(
    image: str, tmp_path: Path, model: Server
) -> None:
    async with box(image, tmp_path, model_port=model.port, api_key=API_KEY) as it:
        await it.turn("hello")
        first = it.running(CLAUDE)
        await it.turn("hello again")
        assert it.running(CLAUDE) == first
        options = AgentOptions(system_prompt="You are a duck. " * 12_000)
        last = last_of(await it.turn("do you remember", options=options))
        assert it.running(CLAUDE) != first
    assert isinstance(last, Result)
    assert last.text == "You first said hello"


async def test_an_interrupt_ends_the_turn_and_the_next_one_runs(
    image: str, tmp_path: Path, model: Server
) -> None:
    async with box(image, tmp_path, model_port=model.port, api_key=API_KEY) as it:
        events: list[AgentEvent] = []
        async for _, event in it.stream("take your time", turn_id="slow"):
            events.append(event)
            if event.type == "text_delta":
                await it.agent.interrupt("slow")
        error = last_of(events)
        assert isinstance(error, Error)
        assert error.code == "interrupted"
        assert last_of(await it.turn("hello")).type == "result"


async def test_a_process_that_dies_and_a_model_that_is_overloaded_leave_the_agent_usable(
    image: str, tmp_path: Path, model: Server
) -> None:
    async with box(image, tmp_path, model_port=model.port, api_key=API_KEY) as it:
        died = last_of(await it.turn("kill yourself"))
        assert isinstance(died, Error)
        assert died.code == "agent-killed"
        it.session_id = None  # whether it was saved before the process died is a race
        overloaded = last_of(await it.turn("be overloaded"))
        assert isinstance(overloaded, Error)
        assert overloaded.code == "model-overloaded"
        it.session_id = None  # the words that overload the model would be said again
        assert last_of(await it.turn("hello")).type == "result"


async def test_sigterm_during_a_turn_ends_turn_and_process_in_order(
    image: str, tmp_path: Path, model: Server
) -> None:
    async with box(image, tmp_path, model_port=model.port, api_key=API_KEY) as it:
        code = None
        events: list[AgentEvent] = []
        async for _, event in it.stream("take your time"):
            events.append(event)
            if event.type == "text_delta" and code is None:
                code = it.stop()
        error = last_of(events)
        assert isinstance(error, Error)
        assert error.code == "interrupted"
        assert code == 0
        with pytest.raises(AgentUnreachableError):
            await it.agent.health()


async def test_events_are_read_again_after_the_reader_went_away(
    image: str, tmp_path: Path, model: Server
) -> None:
    async with box(image, tmp_path, model_port=model.port, api_key=API_KEY) as it:
        stream = it.stream("write a file", turn_id="t1")
        number, _ = await anext(stream)
        await stream.aclose()
        rest = [event async for event in it.agent.resume_stream("t1", after=number)]
        assert [number for number, _ in rest] == list(range(2, len(rest) + 2))
        assert last_of([event for _, event in rest]).type == "result"


async def test_a_process_started_ahead_serves_the_first_message_and_writes_its_memory(
    image: str, tmp_path: Path, model: Server
) -> None:
    async with box(image, tmp_path, model_port=model.port, api_key=API_KEY) as it:
        await it.agent.connect(AgentOptions())
        ahead = it.running(CLAUDE)
        assert len(ahead) == 1
        assert last_of(await it.turn("hello")).type == "result"
        assert it.running(CLAUDE) == ahead
        last = last_of(await it.turn("do you remember"))
    assert isinstance(last, Result)
    assert last.text == "You first said hello"


async def test_a_process_started_ahead_is_taken_back_and_leaves_nothing(
    image: str, tmp_path: Path, model: Server
) -> None:
    async with box(image, tmp_path, model_port=model.port, api_key=API_KEY) as it:
        before = sorted((tmp_path / "home").rglob("*"))
        await it.agent.connect(AgentOptions())
        assert sorted((tmp_path / "home").rglob("*")) != before, "it wrote: there is what to empty"
        await it.agent.disconnect()
        assert it.running(CLAUDE) == []
        assert list((tmp_path / "home").rglob("*")) == []
        assert list((tmp_path / "workspace").rglob("*")) == []
        assert last_of(await it.turn("hello")).type == "result"
        with pytest.raises(AgentUnreachableError, match="a workspace lives here"):
            await it.agent.disconnect()
