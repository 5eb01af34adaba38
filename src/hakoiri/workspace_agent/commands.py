"""The commands that run in the box, beside the turn: how many at once, and their common end."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from hakoiri.wire.command import RunCommand
from hakoiri.wire.command_limits import COMMANDS_AT_ONCE
from hakoiri.workspace_agent.command import Command
from hakoiri.workspace_agent.errors import StoppingError, TooManyCommandsError

_WAITERS: Final = 2 * COMMANDS_AT_ONCE
"""Threads that wait for processes; one that was just killed may still be waited for."""


class Commands:
    """Starts commands, and kills all when the agent stops."""

    def __init__(self, *, workspace: Path) -> None:
        """Run them below the directory `workspace`."""
        self._workspace = workspace
        self._running: set[Command] = set()
        self._waiters = ThreadPoolExecutor(_WAITERS, thread_name_prefix="command")
        self._stopping = False

    def start(self, request: RunCommand) -> Command:
        """Start a command; `TooManyCommandsError` or `StoppingError`. `end` must follow."""
        if self._stopping:
            raise StoppingError("the agent is stopping; run the command in another container")
        if len(self._running) >= COMMANDS_AT_ONCE:
            raise TooManyCommandsError(
                f"{COMMANDS_AT_ONCE} commands run already; try again when one has ended"
            )
        command = Command(request, workspace=self._workspace, waiters=self._waiters)
        self._running.add(command)
        return command

    def end(self, command: Command) -> None:
        """Kill what is left of the command, and forget it."""
        command.kill()
        self._running.discard(command)

    def stop(self) -> None:
        """Take no more commands and kill those that run."""
        self._stopping = True
        for command in list(self._running):
            command.kill()
        self._waiters.shutdown(wait=False)
