"""A turn's options as the agent SDK takes them, purely."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, cast

from claude_agent_sdk import ClaudeAgentOptions
from claude_agent_sdk.types import SessionStore, SystemPromptFile, SystemPromptPreset

from hakoiri.wire.agent import AgentOptions
from hakoiri.workspace_agent.transcript import Transcript

CLI_LINE_LIMIT_BYTES: Final = 64 * 1024 * 1024
"""One line of the CLI. Above a batch of images in tools' answers, as the transcript's lines may
hold one, far below what would fill the memory."""

_TURN_IS_ALL: Final = {"CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1"}
"""Nothing works on after a turn's last event: the container may stop then, and files are stored."""


def sdk_options(
    options: AgentOptions,
    *,
    session_id: str | None,
    system_prompt_file: Path | None,
    workspace: Path,
    transcript: Transcript,
    on_stderr: Callable[[str], None],
) -> ClaudeAgentOptions:
    """Return the SDK's options.

    The system prompt goes through a file: as an argument it may be longer than Linux lets one
    argument be (128 KiB, MAX_ARG_STRLEN). `allowed_tools` limits the tools there are; a rule with a
    pattern (`Bash(git:*)`) limits further only in permission modes that ask. No settings file is
    read: the workspace's are under the control of whoever wrote its files. `transcript` is told of
    each entry that the agent has written to its memory, at once.
    """
    allowed = options.allowed_tools
    return ClaudeAgentOptions(
        model=options.model,
        system_prompt=(
            SystemPromptPreset(type="preset", preset="claude_code")
            if system_prompt_file is None
            else SystemPromptFile(type="file", path=str(system_prompt_file))
        ),
        tools=None if allowed is None else list(dict.fromkeys(map(_tool_name, allowed))),
        allowed_tools=allowed or [],
        permission_mode=options.permission_mode,
        max_turns=options.max_turns,
        resume=session_id,
        cwd=workspace,
        env=dict(_TURN_IS_ALL),
        setting_sources=[],
        include_partial_messages=True,
        # the user's text is text: no slash command, no `@file`
        verbatim_prompts=True,
        max_buffer_size=CLI_LINE_LIMIT_BYTES,
        stderr=on_stderr,
        # the SDK needs these two calls alone and looks whether the others are there
        session_store=cast("SessionStore", transcript),
        session_store_flush="eager",
    )


def _tool_name(rule: str) -> str:
    return rule.partition("(")[0]
