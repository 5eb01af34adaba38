from pathlib import Path

import pytest
from tests.unit.image.commands import Commands

from hakoiri.image.command import TAIL_LINES, answer, run
from hakoiri.image.errors import ImageBuildError


def test_each_line_is_passed_on_and_the_environment_and_directory_are_as_given(
    commands: Commands, tmp_path: Path
) -> None:
    commands.add("tool", 'echo "one $COLOUR"; pwd; echo three >&2')
    lines: list[str] = []
    run(
        ["tool", "a b"],
        what="trying",
        mend="none",
        timeout_s=10,
        environment={"COLOUR": "red"},
        directory=tmp_path,
        on_line=lines.append,
    )
    assert lines == ["one red", str(tmp_path), "three"]
    assert commands.calls == ["tool a b"]


def test_a_failure_names_step_code_mend_and_last_words(commands: Commands) -> None:
    commands.add("tool", f"seq 1 {TAIL_LINES + 5}; exit 3")
    with pytest.raises(ImageBuildError) as caught:
        run(["tool"], what="trying", mend="try harder", timeout_s=10)
    first, *said = str(caught.value).splitlines()
    assert first == "trying: tool failed (3); try harder"
    assert said == [str(n) for n in range(6, TAIL_LINES + 6)]


def test_a_command_that_is_not_there_is_told_with_the_mend(commands: Commands) -> None:
    with pytest.raises(ImageBuildError, match=r"no-such-tool cannot be run: .*; install it"):
        run(["no-such-tool"], what="trying", mend="install it", timeout_s=10)


def test_a_command_that_hangs_ends_with_its_children(commands: Commands) -> None:
    commands.add("tool", "sleep 600 & echo started; wait")
    with pytest.raises(ImageBuildError, match=r"longer than 0\.5 s"):
        run(["tool"], what="trying", mend="none", timeout_s=0.5)


def test_a_command_that_falls_silent_and_hangs_ends_too(commands: Commands) -> None:
    commands.add("tool", "exec >&- 2>&-; sleep 600")
    with pytest.raises(ImageBuildError, match=r"longer than 0\.5 s"):
        run(["tool"], what="trying", mend="none", timeout_s=0.5)


def test_a_callback_that_fails_ends_the_command(commands: Commands) -> None:
    commands.add("tool", "echo started; sleep 600")

    def fail(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(["tool"], what="trying", mend="none", timeout_s=600, on_line=fail)


def test_an_answer_is_none_when_there_is_none(commands: Commands) -> None:
    commands.add("yes-tool", "echo yes")
    commands.add("no-tool", "echo no; exit 1")
    commands.add("slow-tool", "sleep 600")
    assert answer(["yes-tool"], timeout_s=10) == "yes"
    assert answer(["no-tool"], timeout_s=10) is None
    assert answer(["slow-tool"], timeout_s=0.2) is None
    assert answer(["no-such-tool"], timeout_s=10) is None
