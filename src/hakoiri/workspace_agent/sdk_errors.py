"""How a turn failed, told apart as far as the agent's CLI lets us: one `Error` with a stable code.

The shapes were seen in real runs of the bundled CLI (2.1) against a model API that answered with
each of these failures; its prose is passed on, since it often names the mend.
"""

import json
from collections.abc import Iterable
from typing import Final

from claude_agent_sdk import (
    ClaudeSDKError,
    CLIJSONDecodeError,
    CLINotFoundError,
    ProcessError,
    ResultMessage,
)
from pydantic import ValidationError

from hakoiri.wire.agent import AGENT_KILLED
from hakoiri.wire.events import Error
from hakoiri.wire.problems import OVER_BUDGET, PROBLEM_TYPE_PREFIX, Problem

SESSION_NOT_FOUND: Final = "session-not-found"
"""The CLI finds no transcript of the session that it is to go on with, or none with a message."""

TEXT_LIMIT_CHARS: Final = 4096
_TOO_MANY_REQUESTS: Final = 429
_OVER_BUDGET: Final = f"({OVER_BUDGET})"
"""How the credential proxy ends its own word on a 429; the CLI quotes it."""

_PROXYS_WORD: Final = "hakoiri credential proxy: "
"""How it begins a refusal in the model API's own shape (`credential_proxy/refusals`)."""

_SERVER_ERROR: Final = 500
_UNAUTHORIZED: Final = (401, 403)


def result_error(message: ResultMessage, *, was_cut: bool) -> Error | None:
    """Return the error a turn's last message tells of, None if the turn ended well.

    `was_cut` says that the model's last answer began and never ended.
    """
    if (message.terminal_reason or "").startswith("aborted"):
        return Error(code="interrupted", text="The turn was interrupted.", retryable=True)
    return _run_error(message, was_cut=was_cut) if message.is_error else None


def _run_error(message: ResultMessage, *, was_cut: bool) -> Error:
    prose = message.result or "; ".join(message.errors or []) or "The agent gave no reason."
    if message.terminal_reason == "max_turns" or message.subtype == "error_max_turns":
        return _error("max-turns", f"{prose}. Allow it more turns, or say 'go on'.")
    if message.stop_reason == "refusal":
        return _error("model-refused", prose)
    if message.terminal_reason == "api_error" or message.api_error_status is not None:
        return _model_error(message.api_error_status, prose, was_cut=was_cut)
    if _is_unknown_session(prose):
        return _error(SESSION_NOT_FOUND, prose)
    return _error("agent-failed", prose)


def failure_error(failure: Exception, stderr_tail: Iterable[str]) -> Error:
    """Return the error that an exception of the SDK stands for, with the CLI's last words."""
    said = "\n".join(stderr_tail)
    code = "agent-failed"
    if _is_unknown_session(f"{failure}\n{said}"):
        return _error(SESSION_NOT_FOUND, "The agent's memory of this session is not here.")
    match failure:
        case CLIJSONDecodeError():
            reason = "The agent said something longer than a message may be, or no message at all"
        case CLINotFoundError():
            reason = "The image holds no agent CLI; build it anew"
        case ProcessError(exit_code=int() as exit_code):
            reason = f"The agent's process ended with code {exit_code}"
            if exit_code < 0:  # by a signal (subprocess, `Popen.returncode`)
                code = AGENT_KILLED
        case ClaudeSDKError():
            reason = f"The agent's process broke off: {failure}"
        case _:
            reason = f"The agent failed: {failure!r}"
    # its newest words come last, so they are what is kept
    return _error(code, f"{reason[:1000]}. {said[-3000:]}".strip(), retryable=True)


def _model_error(status: int | None, prose: str, *, was_cut: bool) -> Error:
    if status is None:
        code = "model-stream-cut" if was_cut else "model-unreachable"
        return _error(code, prose, retryable=True)
    if status == _TOO_MANY_REQUESTS:
        return _too_much(prose)
    if status >= _SERVER_ERROR:
        return _error("model-overloaded", prose, retryable=True)
    refusal = _proxy_problem(prose)
    if refusal is not None:
        return _error("request-refused", f"{refusal.title}: {refusal.detail} ({refusal.code})")
    if _PROXYS_WORD in prose:
        return _error("request-refused", prose)
    return _error("model-access-denied" if status in _UNAUTHORIZED else "model-rejected", prose)


def _too_much(prose: str) -> Error:
    if _OVER_BUDGET in prose:
        return _error(OVER_BUDGET, prose)
    return _error("model-rate-limited", prose, retryable=True)


def _proxy_problem(prose: str) -> Problem | None:
    """Return the credential proxy's problem document that the CLI's prose quotes, if it does."""
    start = prose.find("{")
    if start < 0 or PROBLEM_TYPE_PREFIX not in prose:
        return None
    try:
        document, _ = json.JSONDecoder().raw_decode(prose[start:])
        return Problem.model_validate(document)
    except (ValueError, ValidationError, RecursionError):
        return None


def _is_unknown_session(prose: str) -> bool:
    return "No conversation found with session ID" in prose


def _error(code: str, text: str, *, retryable: bool = False) -> Error:
    clean = text.encode("utf-8", errors="replace").decode("utf-8")
    return Error(code=code, text=clean[:TEXT_LIMIT_CHARS], retryable=retryable)
