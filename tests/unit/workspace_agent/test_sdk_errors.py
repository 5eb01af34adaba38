from typing import Any

import pytest
from claude_agent_sdk import (
    CLIConnectionError,
    CLIJSONDecodeError,
    CLINotFoundError,
    ProcessError,
    ResultMessage,
)

from hakoiri.workspace_agent.sdk_errors import TEXT_LIMIT_CHARS, failure_error, result_error

REFUSED = (
    'Failed to authenticate. API Error: 403 {"type":"urn:hakoiri:problem:host-refused",'
    '"title":"Refused","status":403,"detail":"not in the policy"} and so on'
)

PROXYS_WORD = "API Error: 400 hakoiri credential proxy: 'm-1' is not allowed (model-not-allowed)"

OVER_BUDGET = (
    "API Error: Request rejected (429) · hakoiri credential proxy: the workspace w is over its"
    " budget model_tokens_per_day (over-budget)"
)


def failed(**fields: Any) -> ResultMessage:
    shape: dict[str, Any] = {
        "subtype": "success",
        "duration_ms": 1,
        "duration_api_ms": 1,
        "is_error": True,
        "num_turns": 1,
        "session_id": "s",
    }
    return ResultMessage(**(shape | fields))


@pytest.mark.parametrize(
    ("fields", "code", "retryable"),
    [
        ({"terminal_reason": "aborted_streaming"}, "interrupted", True),
        ({"terminal_reason": "aborted_tools", "is_error": False}, "interrupted", True),
        ({"terminal_reason": "max_turns", "errors": ["Reached 2"]}, "max-turns", False),
        ({"subtype": "error_max_turns"}, "max-turns", False),
        ({"stop_reason": "refusal", "terminal_reason": "api_error"}, "model-refused", False),
        ({"api_error_status": 429}, "model-rate-limited", True),
        ({"api_error_status": 429, "result": OVER_BUDGET}, "over-budget", False),
        ({"api_error_status": 500}, "model-overloaded", True),
        ({"api_error_status": 529}, "model-overloaded", True),
        ({"api_error_status": 401}, "model-access-denied", False),
        ({"api_error_status": 400}, "model-rejected", False),
        ({"api_error_status": 400, "result": PROXYS_WORD}, "request-refused", False),
        ({"api_error_status": 403, "result": REFUSED}, "request-refused", False),
        ({"api_error_status": 403, "result": "urn:hakoiri:problem:x {"}, "model-access-denied", 0),
        ({"terminal_reason": "api_error"}, "model-unreachable", True),
        ({"errors": ["No conversation found with session ID: 0"]}, "session-not-found", False),
        ({"subtype": "error_during_execution"}, "agent-failed", False),
    ],
)
def test_each_failure_that_the_cli_tells_apart_has_its_code(
    fields: dict[str, Any], code: str, *, retryable: bool
) -> None:
    error = result_error(failed(**fields), was_cut=False)
    assert error is not None
    assert (error.code, error.retryable) == (code, bool(retryable))
    assert error.text


def test_a_turn_that_ended_well_is_no_error() -> None:
    assert result_error(failed(is_error=False), was_cut=True) is None


def test_a_cut_stream_is_told_from_a_model_that_is_away() -> None:
    error = result_error(failed(terminal_reason="api_error"), was_cut=True)
    assert error is not None
    assert error.code == "model-stream-cut"


def test_the_proxys_refusal_is_told_in_the_proxys_words() -> None:
    error = result_error(failed(api_error_status=403, result=REFUSED), was_cut=False)
    assert error is not None
    assert error.text == "Refused: not in the policy (host-refused)"


@pytest.mark.parametrize(
    ("failure", "words", "code"),
    [
        (CLIJSONDecodeError("{", ValueError("x")), "longer than a message may be", "agent-failed"),
        (CLINotFoundError(), "build it anew", "agent-failed"),
        (ProcessError("gone", exit_code=1), "code 1", "agent-failed"),
        (ProcessError("gone", exit_code=-9), "code -9", "agent-killed"),
        (CLIConnectionError("broken pipe"), "broken pipe", "agent-failed"),
        (Exception("Control request timeout: initialize"), "timeout: initialize", "agent-failed"),
    ],
)
def test_an_exception_of_the_sdk_is_one_error_with_the_clis_last_words(
    failure: Exception, words: str, code: str
) -> None:
    error = failure_error(failure, ["warming up", "out of memory"])
    assert error.code == code
    assert words in error.text
    assert error.text.endswith("out of memory")


def test_a_session_that_is_not_here_has_a_code_of_its_own() -> None:
    said = ["No conversation found with session ID: 0000"]
    assert failure_error(ProcessError("x", exit_code=1), said).code == "session-not-found"


def test_texts_are_bounded_and_readable() -> None:
    long = "x" * 100_000 + "\ud800"
    error = failure_error(CLIConnectionError(long), [long] * 50)
    assert len(error.text) <= TEXT_LIMIT_CHARS
    error.model_dump_json()
    whole = result_error(failed(result=long), was_cut=False)
    assert whole is not None
    assert len(whole.text) <= TEXT_LIMIT_CHARS
