"""The real agent CLI: what it told of a tool is in its memory on the disk by then."""

import uuid
from pathlib import Path

import pytest
from tests.integration.rehearsal.server import API_KEY, rehearsal

from hakoiri.wire.agent import RunTurn
from hakoiri.wire.events import AgentEvent, Result, SessionStarted, ToolResult, ToolUse
from hakoiri.workspace_agent.sdk_client import NOT_REMEMBERED, SdkAgent

CALLS = 6
SCRIPT = (
    "scenes:\n  - name: all\n    replies:\n"
    + "".join(
        f"      - say: step {number}\n"
        f"        use: [{{tool: Bash, input: {{command: 'echo {number}', description: d}}}}]\n"
        for number in range(CALLS)
    )
    + "      - say: done\n"
)
NO_MESSAGE = '{"type":"queue-operation","operation":"enqueue","content":"go"}\n'
"""What the CLI writes first of a message; it may die before it writes the message."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def memory_of(home: Path) -> str:
    return "".join(path.read_text() for path in home.glob(".claude/projects/*/*.jsonl"))


def live_at(home: Path, model_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the CLI that this process starts live in `home`."""
    for name, value in {
        "ANTHROPIC_BASE_URL": model_url,
        "ANTHROPIC_API_KEY": API_KEY,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
        "IS_SANDBOX": "1",  # else it refuses to work as root
        "HOME": str(home),
        "CLAUDE_CONFIG_DIR": str(home / ".claude"),
    }.items():
        monkeypatch.setenv(name, value)


@pytest.mark.anyio
async def test_no_event_of_a_tool_comes_before_its_entry_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "script.yaml"
    script.write_text(SCRIPT)
    with rehearsal(script=script) as server:
        live_at(tmp_path, server.url, monkeypatch)
        agent = SdkAgent(workspace=tmp_path, home=tmp_path)
        early: list[AgentEvent] = []
        seen: list[AgentEvent] = []
        async for event in agent.run(RunTurn(turn_id="t1", text="go")):
            seen.append(event)
            if isinstance(event, (ToolUse, ToolResult)):
                name = "id" if isinstance(event, ToolUse) else "tool_use_id"
                if f'"{name}":"{event.tool_use_id}"' not in memory_of(tmp_path):
                    early.append(event)
        (session,) = [event for event in seen if isinstance(event, SessionStarted)]
        again = RunTurn(turn_id="t2", text="again", session_id=session.session_id)
        await agent.close()  # so that the next turn resumes
        resumed = [event async for event in agent.run(again)]
        await agent.close()
    assert sum(isinstance(event, ToolResult) for event in seen) == CALLS
    assert early == []
    assert isinstance(resumed[-1], Result)


@pytest.mark.anyio
@pytest.mark.parametrize("lines", [None, NO_MESSAGE], ids=["no transcript", "no message in it"])
async def test_a_session_that_nothing_was_written_of_does_not_end_the_conversation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: str | None
) -> None:
    script = tmp_path / "script.yaml"
    script.write_text("scenes:\n  - name: all\n    replies:\n      - say: done\n")
    session = str(uuid.uuid4())
    if lines is not None:
        directory = tmp_path / ".claude/projects" / str(tmp_path).replace("/", "-")
        directory.mkdir(parents=True)
        (directory / f"{session}.jsonl").write_text(lines)
    with rehearsal(script=script) as server:
        live_at(tmp_path, server.url, monkeypatch)
        agent = SdkAgent(workspace=tmp_path, home=tmp_path)
        asked = RunTurn(turn_id="t1", text="go", session_id=session)
        seen = [event async for event in agent.run(asked)]
        await agent.close()
    assert seen[0] == NOT_REMEMBERED
    assert isinstance(seen[-1], Result)
    (begun,) = [event for event in seen if isinstance(event, SessionStarted)]
    assert begun.session_id != session
