"""Commands in workspaces: beside a turn or without one, in the workspace's own container.

A command may run while a turn does: it is one more process of the same box, and looking at what an
agent does while it works is what it is for. It outlives nothing: its reader gone, it is killed.
"""

from collections import Counter
from contextlib import AsyncExitStack
from itertools import count
from typing import Final

import anyio
import structlog

from hakoiri.audit.event import AuditEvent, EventKind
from hakoiri.audit.writer import AuditLog
from hakoiri.host.containers.model import Claim
from hakoiri.host.containers.ports import (
    AgentUnreachableError,
    ContainersError,
    TooManyCommandsError,
)
from hakoiri.host.conversations.model import Workspace
from hakoiri.host.conversations.patient_call import PatientCall
from hakoiri.host.conversations.ports import Containers
from hakoiri.host.conversations.running_command import RunningCommand
from hakoiri.host.conversations.workspace_claim import WorkspaceClaim
from hakoiri.host.conversations.workspace_saver import WorkspaceSaver
from hakoiri.wire.command import RunCommand
from hakoiri.wire.command_limits import COMMANDS_AT_ONCE

ANSWER_TIMEOUT_S: Final = 10.0
"""An agent that has not begun to answer by then does not answer."""

HALT_TIMEOUT_S: Final = 30.0

logger = structlog.get_logger()


class CommandService:
    """Starts commands. Whoever gets a `RunningCommand` must end it."""

    def __init__(
        self,
        *,
        containers: Containers,
        claims: WorkspaceClaim,
        saver: WorkspaceSaver,
        audit: AuditLog,
    ) -> None:
        self._containers = containers
        self._claims = claims
        self._saver = saver
        self._audit = audit
        self._running: Counter[str] = Counter()
        self._commands: set[RunningCommand] = set()
        self._numbers = count(1)

    async def start(self, workspace: Workspace, command: RunCommand) -> RunningCommand:
        """Start a command, in a new container if none is live.

        Raises `TooManyCommandsError`, `NoSuchPolicyError`, `ContainersError`, `FilesError`,
        `StoreError`.
        """
        if self._running[workspace.id] >= COMMANDS_AT_ONCE:
            raise TooManyCommandsError(
                f"{COMMANDS_AT_ONCE} commands run in this workspace; try again when one has ended"
            )
        holder = f"command {next(self._numbers)}"
        self._running[workspace.id] += 1
        try:
            return await self._start(workspace, command, holder)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._leave(workspace.id, holder)
            raise

    def stop(self) -> None:
        """End all commands, and tell who reads their output that the server is going."""
        for running in list(self._commands):
            running.stop()

    async def _start(
        self, workspace: Workspace, command: RunCommand, holder: str
    ) -> RunningCommand:
        claim = await self._containers.join(workspace.id, holder=holder)
        if claim is not None:
            try:
                return await self._run(workspace, command, holder, claim)
            except AgentUnreachableError:
                # What ran in a container that is lost is lost with it, so it may be run again.
                found = await self._claims.take(workspace, holder=holder)
                if found.container_id == claim.container_id:
                    raise
                claim = found
        else:
            claim = await self._claims.take(workspace, holder=holder)
        return await self._run(workspace, command, holder, claim)

    async def _run(
        self, workspace: Workspace, command: RunCommand, holder: str, claim: Claim
    ) -> RunningCommand:
        stream = AsyncExitStack()
        source = None
        with anyio.move_on_after(ANSWER_TIMEOUT_S):
            source = await stream.enter_async_context(claim.agent.run_command(command))
        if source is None:
            raise AgentUnreachableError(f"the agent did not answer within {ANSWER_TIMEOUT_S:g} s")

        self._audit.tell(
            AuditEvent(
                kind=EventKind.COMMAND_STARTED,
                tenant=workspace.tenant,
                workspace=workspace.id,
                conversation=workspace.conversation_id,
                container=claim.container_id,
            )
        )

        async def leave(is_sound: bool) -> None:  # noqa: FBT001 - the one thing it is told
            self._commands.discard(running)
            await self._end(workspace, claim, holder, is_sound=is_sound)

        running = RunningCommand(command, source, stream=stream, leave=leave)
        self._commands.add(running)
        return running

    async def _end(
        self, workspace: Workspace, claim: Claim, holder: str, *, is_sound: bool
    ) -> None:
        try:
            if is_sound:
                await self._saver.touch(workspace, claim)
            else:
                # what commands wrote in it is saved before it goes
                halting = self._containers.halt(workspace.id, container_id=claim.container_id)
                await PatientCall().run(halting, timeout_s=HALT_TIMEOUT_S)
        except (ContainersError, TimeoutError):
            await logger.aexception("container not ended", workspace=workspace.id)
        finally:
            await self._leave(workspace.id, holder)

    async def _leave(self, workspace_id: str, holder: str) -> None:
        self._running[workspace_id] -= 1
        if not self._running[workspace_id]:
            del self._running[workspace_id]
        await self._containers.release(workspace_id, holder=holder)
