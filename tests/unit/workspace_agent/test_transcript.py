"""Events of tools wait for the agent's memory on the disk, and for nothing else."""

import asyncio
from typing import Any

import pytest

from hakoiri.wire.events import AgentEvent, TextDelta, ToolResult, ToolUse
from hakoiri.workspace_agent.transcript import PATIENCE, Transcript

pytestmark = pytest.mark.anyio

USE = ToolUse(tool_use_id="t1", name="Bash", input={})
RESULT = ToolResult(tool_use_id="t1", text="ok")
KEY: Any = {"project_key": "-workspace", "session_id": "s"}


def entry(**block: Any) -> Any:
    return {"type": "user", "message": {"role": "user", "content": [block]}}


RESULT_ENTRY = entry(type="tool_result", tool_use_id="t1", content="ok")
USE_ENTRY = entry(type="tool_use", id="t1", name="Bash", input={})


@pytest.mark.parametrize(("event", "written"), [(USE, USE_ENTRY), (RESULT, RESULT_ENTRY)])
async def test_an_event_of_a_tool_waits_until_its_own_entry_is_written(
    event: AgentEvent, written: Any
) -> None:
    transcript = Transcript(wait_limit_s=60)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(transcript.wait_for(event))
        await transcript.append(KEY, [entry(type="tool_use", id="other")])
        await transcript.append(KEY, [RESULT_ENTRY if event is USE else USE_ENTRY])
        await asyncio.sleep(0)
        assert not waiting.done()
        await transcript.append(KEY, [written])
        async with asyncio.timeout(60):
            await waiting


async def test_what_was_written_before_is_not_waited_for_nor_is_text() -> None:
    transcript = Transcript(wait_limit_s=60)
    await transcript.append(KEY, [RESULT_ENTRY])
    async with asyncio.timeout(60):
        await transcript.wait_for(RESULT)
        await transcript.wait_for(TextDelta(text="a"))


async def test_after_some_waits_in_vain_nobody_waits_again() -> None:
    transcript = Transcript(wait_limit_s=0)
    for _ in range(PATIENCE):
        await transcript.wait_for(RESULT)
    transcript._wait_limit_s = 60
    async with asyncio.timeout(60):
        await transcript.wait_for(RESULT)


@pytest.mark.parametrize("odd", [None, {}, {"message": 1}, {"message": {"content": ["x", {}]}}])
async def test_entries_of_other_shapes_are_passed_over(odd: Any) -> None:
    transcript = Transcript()
    await transcript.append(KEY, [odd, RESULT_ENTRY])
    await transcript.wait_for(RESULT)


async def test_no_session_is_known_so_the_agent_resumes_from_its_own_file() -> None:
    assert await Transcript().load(KEY) is None
