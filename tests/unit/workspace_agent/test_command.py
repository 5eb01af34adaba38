import os
import signal
from pathlib import Path

import anyio
import pytest
from tests.unit.workspace_agent.running_commands import (
    TELL_PID,
    asked,
    commands_in,
    finished,
    first_line,
    is_gone,
    python,
    told_pid,
    until,
)

from hakoiri.wire.base64_text import encode
from hakoiri.wire.command import CommandExit, CommandOutput
from hakoiri.wire.command_limits import FRAME_LIMIT_BYTES
from hakoiri.workspace_agent.command import HELD_LIMIT_BYTES

pytestmark = pytest.mark.anyio


async def test_both_streams_and_the_code_are_told(tmp_path: Path) -> None:
    with commands_in(tmp_path) as commands:
        ended = await finished(commands, asked("sh", "-c", "echo out; echo err >&2; exit 3"))
    assert ended == (b"out\n", b"err\n", CommandExit(code=3))


async def test_any_bytes_come_through_and_much_of_them(tmp_path: Path) -> None:
    script = "import sys; sys.stdout.buffer.write(bytes(range(256)) * 20_000)"
    with commands_in(tmp_path) as commands:
        out, _, _ = await finished(commands, python(script))
    assert out == bytes(range(256)) * 20_000


async def test_it_works_where_and_with_what_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    request = asked(
        *("sh", "-c", 'pwd; echo "$COLOUR"; cat'),
        directory="/workspace/sub",
        environment={"COLOUR": "red\nblue"},
        stdin=encode(b"\0\xff"),
    )
    with commands_in(tmp_path) as commands:
        out, _, end = await finished(commands, request)
    assert out == f"{tmp_path}/sub\nred\nblue\n".encode() + b"\0\xff"
    assert end.code == 0


async def test_without_input_there_is_nothing_to_read(tmp_path: Path) -> None:
    with commands_in(tmp_path) as commands:
        assert await finished(commands, asked("cat")) == (b"", b"", CommandExit(code=0))


@pytest.mark.parametrize(
    ("argv", "directory", "code", "why"),
    [
        (["no-such-program"], "", 127, b"no-such-program: No such file"),
        (["/etc/passwd"], "", 126, b"/etc/passwd: Permission denied"),
        (["true"], "missing", 126, b"there is no directory /workspace/missing"),
        (["true"], "file", 126, b"there is no directory /workspace/file"),
    ],
)
async def test_what_cannot_be_started_ends_as_in_a_shell(
    tmp_path: Path, argv: list[str], directory: str, code: int, why: bytes
) -> None:
    (tmp_path / "file").touch()
    with commands_in(tmp_path) as commands:
        out, err, end = await finished(commands, asked(*argv, directory=directory))
    assert (out, end.code) == (b"", code)
    assert why in err


async def test_a_signal_is_told(tmp_path: Path) -> None:
    with commands_in(tmp_path) as commands:
        _, _, end = await finished(commands, asked("sh", "-c", "kill -TERM $$"))
    assert end == CommandExit(signal=signal.SIGTERM)


async def test_at_its_time_limit_the_whole_group_is_killed(tmp_path: Path) -> None:
    request = asked("sh", "-c", "sleep 1000 & echo $!; wait", timeout_s=3)
    with commands_in(tmp_path) as commands:
        out, _, end = await finished(commands, request)
        assert end == CommandExit(signal=signal.SIGKILL, timed_out=True)
        assert await is_gone(int(out))


async def test_who_leaves_kills_the_whole_group_and_nothing_stays_a_zombie(tmp_path: Path) -> None:
    with commands_in(tmp_path) as commands:
        command = commands.start(asked("sh", "-c", "sleep 1000 & echo $$ $!; wait"))
        pids = [int(pid) for pid in (await first_line(command)).split()]
        commands.end(command)
        assert [await is_gone(pid) for pid in pids] == [True, True]


async def test_a_command_that_nobody_reads_is_killed_too(tmp_path: Path) -> None:
    with commands_in(tmp_path) as commands:
        command = commands.start(asked("sh", "-c", f"{TELL_PID}; exec sleep 1000"))
        pid = await told_pid(tmp_path)
        commands.end(command)
        assert await is_gone(pid)


async def test_what_it_left_in_its_group_ends_with_it(tmp_path: Path) -> None:
    with commands_in(tmp_path) as commands:
        out, _, end = await finished(commands, asked("sh", "-c", "sleep 1000 & echo $!"))
        assert end == CommandExit(code=0)
        assert await is_gone(int(out))


async def test_what_left_the_group_and_holds_the_output_does_not_hold_up_the_end(
    tmp_path: Path,
) -> None:
    leaves = "setsid sh -c 'echo $$; touch left; exec sleep 1000' &"
    request = asked("sh", "-c", f"{leaves} until [ -e left ]; do sleep 0.01; done")
    with commands_in(tmp_path) as commands:
        out, _, end = await finished(commands, request)
        assert end == CommandExit(code=0)
        os.kill(int(out), signal.SIGKILL)


async def test_output_over_the_limit_is_dropped_and_the_command_goes_on(tmp_path: Path) -> None:
    request = asked("sh", "-c", "yes | head -c 500000; touch done", output_limit_bytes=1001)
    with commands_in(tmp_path) as commands:
        out, _, end = await finished(commands, request)
    assert out == b"y\n" * 500 + b"y"
    assert end == CommandExit(code=0, output_cut=True)
    assert (tmp_path / "done").exists()


async def test_output_that_is_not_read_is_held_in_bounds(tmp_path: Path) -> None:
    with commands_in(tmp_path) as commands:
        command = commands.start(asked("sh", "-c", "yes & echo; wait"))
        frames = command.frames(idle_s=60)
        await anext(frames)
        await until(lambda: command._held_bytes >= HELD_LIMIT_BYTES)
        await anyio.sleep(0.1)  # in which it would read on
        assert command._held_bytes < 3 * HELD_LIMIT_BYTES
        for _ in range(100):
            frame = await anext(frames)
            assert isinstance(frame, CommandOutput)
            assert len(frame.raw) <= FRAME_LIMIT_BYTES
        commands.end(command)
        await frames.aclose()


async def test_silence_is_told(tmp_path: Path) -> None:
    with commands_in(tmp_path) as commands:
        command = commands.start(asked("sleep", "1000"))
        frames = command.frames(idle_s=0.01)
        assert await anext(frames) is None
        await frames.aclose()
        commands.end(command)
