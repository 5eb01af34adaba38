"""The real agent CLI, as it comes with claude-agent-sdk, takes the rehearsal for a model."""

from pathlib import Path
from typing import Any

import pytest
from claude_agent_sdk import ClaudeAgentOptions, Message, ResultMessage, query
from tests.integration.rehearsal.server import API_KEY, REGION, Server, rehearsal
from tests.integration.rehearsal.signer import signing_forwarder

SCRIPT = """
scenes:
  - name: first
    replies:
      - think: A file is wanted.
        say: I write it.
        use:
          - tool: Bash
            input:
              command: printf %s {{user_text|sh}} > said.txt && cat said.txt
              description: Write what the user said
      - say: "The file says {{last_tool_result}}"
        error: {status: 529, times: 1}
  - name: again
    when: do you remember
    replies: [{say: "You first said: {{first_user_text}}"}]
  - name: cut
    when: lose the line
    replies: [{say: a b c d e f g h i j k l m n o p, cut_after: {after_deltas: 2, times: 1}}]
  - name: stumble
    when: stumble
    replies:
      - say: up again after a stumble, and a few words more
        error: {status: 500, after_deltas: 1, times: 1}
"""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def through_anthropic(server: Server) -> dict[str, str]:
    return {"ANTHROPIC_BASE_URL": server.url, "ANTHROPIC_API_KEY": API_KEY}


def through_bedrock(url: str) -> dict[str, str]:
    return {
        "CLAUDE_CODE_USE_BEDROCK": "1",
        "CLAUDE_CODE_SKIP_BEDROCK_AUTH": "1",
        "ANTHROPIC_BEDROCK_BASE_URL": url,
        "AWS_REGION": REGION,
    }


async def turn(
    provider: dict[str, str], text: str, *, directory: Path, resume: str | None = None
) -> ResultMessage:
    options = ClaudeAgentOptions(
        cwd=directory,
        allowed_tools=["Bash"],
        resume=resume,
        include_partial_messages=True,
        env={
            **provider,
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
            "HOME": str(directory),
            # Nothing of the settings of whoever runs the tests is read.
            "CLAUDE_CONFIG_DIR": str(directory / ".claude"),
        },
    )
    messages: list[Message] = [message async for message in query(prompt=text, options=options)]
    assert isinstance(messages[-1], ResultMessage)
    return messages[-1]


def journalled(server: Server) -> list[tuple[Any, ...]]:
    names = ("scene", "reply", "attempt", "operation", "status")
    return [tuple(entry[name] for name in names) for entry in server.journal()]


@pytest.mark.anyio
async def test_the_cli_does_its_turns_and_knows_the_first_after_a_restart_of_both(
    tmp_path: Path,
) -> None:
    script = tmp_path / "script.yaml"
    script.write_text(SCRIPT)
    home = tmp_path / "home"
    home.mkdir()

    with rehearsal(script=script) as server:
        first = await turn(through_anthropic(server), "it's $HOME; sweet", directory=home)
        seen = journalled(server)

    assert first.result == "The file says it's $HOME; sweet"
    assert (home / "said.txt").read_text() == "it's $HOME; sweet"
    assert seen == [
        ("first", 0, 0, "stream", 200),
        ("first", 1, 0, "stream", 529),
        ("first", 1, 1, "stream", 200),
    ]

    with rehearsal(script=script) as server:
        second = await turn(
            through_anthropic(server), "do you remember?", directory=home, resume=first.session_id
        )
        seen = journalled(server)

    assert second.result == "You first said: it's $HOME; sweet"
    assert seen == [("again", 0, 0, "stream", 200)]


@pytest.mark.anyio
async def test_the_cli_gets_over_a_cut_stream(tmp_path: Path) -> None:
    script = tmp_path / "script.yaml"
    script.write_text(SCRIPT)
    with rehearsal(script=script) as server:
        result = await turn(through_anthropic(server), "lose the line", directory=tmp_path)
        seen = journalled(server)
    assert result.result == "a b c d e f g h i j k l m n o p"
    assert [entry[:3] for entry in seen] == [("cut", 0, 0), ("cut", 0, 1)]


@pytest.mark.anyio
async def test_the_cli_reads_bedrocks_frames_and_gets_over_a_failure_among_them(
    tmp_path: Path,
) -> None:
    script = tmp_path / "script.yaml"
    script.write_text(SCRIPT)
    with rehearsal(script=script) as server, signing_forwarder(server) as url:
        result = await turn(through_bedrock(url), "stumble", directory=tmp_path)
        seen = [entry for entry in server.journal() if entry["scene"]]
    assert result.result == "up again after a stumble, and a few words more"
    assert [(entry["provider"], entry["verdict"]) for entry in seen] == [("bedrock", "valid")] * 2
    assert [entry["attempt"] for entry in seen] == [0, 1]


@pytest.mark.anyio
async def test_the_built_in_script_makes_any_text_a_file(tmp_path: Path) -> None:
    with rehearsal() as server:
        result = await turn(through_anthropic(server), "Keep this.", directory=tmp_path)
    assert (tmp_path / "rehearsal.txt").read_text() == "Keep this.\n"
    assert "1\tKeep this." in (result.result or "")
