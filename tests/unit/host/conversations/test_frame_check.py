import pytest

from hakoiri.host.containers.ports import AgentProtocolError
from hakoiri.host.conversations.frame_check import FrameCheck
from hakoiri.wire.command import CommandExit, CommandFrame, CommandOutput

A = CommandOutput.of("stdout", b"aaaa")
END = CommandExit(code=0)


def test_what_was_asked_for_passes() -> None:
    check = FrameCheck(output_limit_bytes=8)
    frames: list[CommandFrame] = [A, CommandOutput.of("stderr", b"bbbb"), END]
    assert [check.take(number, frame) for number, frame in enumerate(frames, start=1)] == frames


@pytest.mark.parametrize(
    ("frames", "why"),
    [
        ([(2, A)], "frame 2 came, not 1"),
        ([(1, A), (1, A)], "frame 1 came, not 2"),
        ([(1, A), (3, END)], "frame 3 came, not 2"),
        ([(1, A), (2, A), (3, CommandOutput.of("stderr", b"b"))], "more output"),
        ([(1, CommandOutput.of("stdout", b""))], "without output"),
        ([(1, END), (2, A)], "after the command's end"),
        ([(1, END), (2, END)], "after the command's end"),
    ],
)
def test_a_lie_is_refused(frames: list[tuple[int, CommandFrame]], why: str) -> None:
    check = FrameCheck(output_limit_bytes=8)
    *good, last = frames
    for number, frame in good:
        check.take(number, frame)
    with pytest.raises(AgentProtocolError, match=why):
        check.take(*last)
