import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hakoiri.wire.base64_text import encode
from hakoiri.wire.command import (
    CommandExit,
    CommandOutput,
    RunCommand,
    Start,
    command_frame_adapter,
)
from hakoiri.wire.command_limits import (
    ARGUMENT_LIMIT_CHARS,
    FRAME_LIMIT_BYTES,
    FRAME_LINE_LIMIT_BYTES,
    START_LIMIT_BYTES,
    STDIN_LIMIT_BYTES,
)
from hakoiri.wire.messages import BODY_LIMIT_BYTES


@given(raw=st.binary(max_size=2000))
def test_output_comes_through_as_it_was(raw: bytes) -> None:
    told = CommandOutput.of("stderr", raw).model_dump_json()
    frame = command_frame_adapter.validate_json(told)
    assert isinstance(frame, CommandOutput)
    assert (frame.type, frame.raw) == ("stderr", raw)


def test_what_is_at_its_limit_fits_into_what_carries_it() -> None:
    frame = CommandOutput.of("stdout", b"\xff" * FRAME_LIMIT_BYTES).model_dump_json()
    assert len(frame) < FRAME_LINE_LIMIT_BYTES
    asked = RunCommand(
        argv=["x"], stdin=encode(b"\0" * STDIN_LIMIT_BYTES), timeout_s=1, output_limit_bytes=1
    )
    assert len(asked.model_dump_json()) + START_LIMIT_BYTES < BODY_LIMIT_BYTES


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "stdout", "base64": "?"},
        {"type": "stdout", "base64": "YQ"},
        {"type": "stdout", "base64": encode(b"a" * (FRAME_LIMIT_BYTES + 3))},
        {"type": "stdout", "base64": "", "more": 1},
        {"type": "stdin", "base64": ""},
        {"type": "exit"},
        {"type": "exit", "code": 0, "signal": 9},
        {"type": "exit", "code": 256},
        {"type": "exit", "code": -1},
        {"type": "exit", "signal": 65},
        {"type": "exit", "signal": 0},
    ],
)
def test_nothing_else_is_a_frame(frame: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        command_frame_adapter.validate_python(frame)


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("argv", [], "at least 1"),
        ("argv", [""], "names the program"),
        ("argv", ["a\0b"], "NUL"),
        ("argv", ["x" * (ARGUMENT_LIMIT_CHARS + 1)], "at most"),
        ("argv", ["x" * 100_000] * 11, "over 1048576"),
        ("argv", ["x"] * 4097, "at most 4096"),
        ("environment", {"A=B": "c"}, "match pattern"),
        ("environment", {"A\n": "c"}, "match pattern"),
        ("environment", {"A": "c\0d"}, "NUL"),
        ("environment", {"AWS_SECRET_ACCESS_KEY": "k"}, "none enters a box"),
        ("environment", {"ANTHROPIC_API_KEY": "k"}, "none enters a box"),
        ("environment", {"GITHUB_TOKEN": "k"}, "none enters a box"),
        ("environment", {"https_proxy": "http://elsewhere.test"}, "way out"),
        ("environment", {f"V{number}": "" for number in range(257)}, "at most 256"),
        ("directory", "/etc", "must lie in /workspace"),
        ("directory", "/workspace/../etc", "must lie in /workspace"),
        ("directory", "../etc", "must lie in /workspace"),
        ("directory", "/workspaces", "must lie in /workspace"),
        ("directory", "//workspace", "must lie in /workspace"),
        ("directory", "a\0b", "NUL"),
    ],
)
def test_what_cannot_or_must_not_be_started_is_refused(field: str, value: object, why: str) -> None:
    given = {"argv": ["true"]} | {field: value}
    with pytest.raises(ValidationError, match=why):
        Start.model_validate(given)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("", "/workspace"),
        ("/workspace", "/workspace"),
        ("/workspace/a/./b/", "/workspace/a/b"),
        ("a b", "/workspace/a b"),
    ],
)
def test_a_directory_is_inside_the_workspace(given: str, meant: str) -> None:
    assert Start(argv=["true"], directory=given).directory == meant


@pytest.mark.parametrize(
    "bounds",
    [
        {"timeout_s": 0},
        {"timeout_s": 86_401},
        {"timeout_s": float("inf")},
        {"output_limit_bytes": -1},
        {"output_limit_bytes": 2**30 + 1},
        {"stdin": "not base64!"},
    ],
)
def test_time_output_and_input_are_bounded(bounds: dict[str, object]) -> None:
    good = {"argv": ["true"], "timeout_s": 1, "output_limit_bytes": 0}
    assert RunCommand.model_validate(good).stdin is None
    with pytest.raises(ValidationError):
        RunCommand.model_validate(good | bounds)


def test_an_end_is_a_code_or_a_signal() -> None:
    assert CommandExit(code=0).signal is None
    assert CommandExit(signal=9, timed_out=True).code is None
