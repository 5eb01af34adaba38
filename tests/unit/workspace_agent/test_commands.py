import signal
from pathlib import Path

import pytest
from tests.unit.workspace_agent.running_commands import asked, commands_in, finished, is_gone

from hakoiri.wire.command import CommandExit
from hakoiri.wire.command_limits import COMMANDS_AT_ONCE
from hakoiri.workspace_agent.errors import StoppingError, TooManyCommandsError

pytestmark = pytest.mark.anyio


async def test_only_so_many_run_at_once_and_one_that_ended_makes_room(tmp_path: Path) -> None:
    with commands_in(tmp_path) as commands:
        running = [commands.start(asked("sleep", "1000")) for _ in range(COMMANDS_AT_ONCE)]
        with pytest.raises(TooManyCommandsError, match="16 commands run already"):
            commands.start(asked("true"))
        commands.end(running.pop())
        assert (await finished(commands, asked("true")))[2] == CommandExit(code=0)
        for command in running:
            commands.end(command)


async def test_stopping_kills_all_and_takes_no_more(tmp_path: Path) -> None:
    with commands_in(tmp_path) as commands:
        command = commands.start(asked("sh", "-c", "echo $$; exec sleep 1000"))
        frames = command.frames(idle_s=60)
        first = await anext(frames)
        commands.stop()
        rest = [frame async for frame in frames]
        assert rest == [CommandExit(signal=signal.SIGKILL)]
        assert first is not None
        assert first.type == "stdout"
        assert await is_gone(int(first.raw))
        with pytest.raises(StoppingError):
            commands.start(asked("true"))
        commands.end(command)
