"""What a container says of a command, held against what it was asked. Pure."""

from hakoiri.host.containers.ports import AgentProtocolError
from hakoiri.wire.command import CommandExit, CommandFrame


class FrameCheck:
    """Frames count from 1 without gaps, carry no more than was asked for, and end with the exit."""

    def __init__(self, *, output_limit_bytes: int) -> None:
        self._room_bytes = output_limit_bytes
        self._last = 0
        self._has_ended = False

    def take(self, number: int, frame: CommandFrame) -> CommandFrame:
        """Return the frame if it may come now; `AgentProtocolError` otherwise."""
        if self._has_ended:
            raise AgentProtocolError("a frame came after the command's end")
        if number != self._last + 1:
            raise AgentProtocolError(f"frame {number} came, not {self._last + 1}")
        self._last = number
        if isinstance(frame, CommandExit):
            self._has_ended = True
            return frame
        size_bytes = len(frame.raw)
        if not size_bytes:
            raise AgentProtocolError("a frame without output came")
        self._room_bytes -= size_bytes
        if self._room_bytes < 0:
            raise AgentProtocolError("more output came than was asked for")
        return frame
