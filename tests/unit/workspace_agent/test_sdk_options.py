from pathlib import Path
from typing import Any

from claude_agent_sdk import ClaudeAgentOptions

from hakoiri.wire.agent import AgentOptions
from hakoiri.workspace_agent.sdk_options import sdk_options
from hakoiri.workspace_agent.transcript import Transcript

WORKSPACE = Path("/workspace")
TRANSCRIPT = Transcript()


def made_of(
    *, session_id: str | None = None, system_prompt_file: Path | None = None, **fields: Any
) -> ClaudeAgentOptions:
    return sdk_options(
        AgentOptions(**fields),
        session_id=session_id,
        system_prompt_file=system_prompt_file,
        workspace=WORKSPACE,
        transcript=TRANSCRIPT,
        on_stderr=lambda _: None,
    )


def test_absent_options_leave_the_agent_its_own_defaults() -> None:
    options = made_of()
    assert options.model is None
    assert options.tools is None
    assert options.max_turns is None
    assert options.system_prompt == {"type": "preset", "preset": "claude_code"}
    assert options.permission_mode == "bypassPermissions"
    assert options.cwd == WORKSPACE


def test_what_is_asked_for_is_passed_on() -> None:
    options = made_of(
        session_id="ab-12", model="m", max_turns=3, permission_mode="plan", allowed_tools=["Read"]
    )
    assert (options.resume, options.model, options.max_turns) == ("ab-12", "m", 3)
    assert options.permission_mode == "plan"


def test_allowed_tools_limit_the_tools_there_are() -> None:
    options = made_of(allowed_tools=["Bash(git:*)", "Bash(ls:*)", "Read"])
    assert options.tools == ["Bash", "Read"]
    assert options.allowed_tools == ["Bash(git:*)", "Bash(ls:*)", "Read"]
    assert made_of(allowed_tools=[]).tools == []


def test_the_system_prompt_is_never_an_argument() -> None:
    path = Path("/tmp/prompt.txt")  # noqa: S108 - only named
    assert made_of(system_prompt_file=path).system_prompt == {"type": "file", "path": str(path)}


def test_the_workspaces_own_settings_are_not_read_and_the_text_is_not_a_command() -> None:
    options = made_of()
    assert options.setting_sources == []
    assert options.verbatim_prompts
    assert options.include_partial_messages
    assert options.env == {"CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1"}


def test_the_transcript_hears_of_each_entry_at_once() -> None:
    options = made_of()
    store: object = options.session_store
    assert store is TRANSCRIPT
    assert options.session_store_flush == "eager"
