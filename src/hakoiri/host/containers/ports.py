"""What the containers room needs from outside: an engine, the proxy, claims, agents."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from hakoiri.wire.agent import AgentHealth, AgentOptions, RunTurn
from hakoiri.wire.command import CommandFrame, RunCommand
from hakoiri.wire.events import AgentEvent
from hakoiri.wire.guard import BoxDirectories, CollectedImages
from hakoiri.wire.messages import Runtime
from hakoiri.wire.policy import Policy
from hakoiri.wire.pool import PoolConfiguration
from hakoiri.wire.probe import ProbeReport, ProbeRequest


class ContainersError(Exception):
    """A container could not be started, reached or removed."""


class EngineError(ContainersError):
    """The container engine refused or did not answer."""


class EngineAwayError(EngineError):
    """The engine or its guard does not answer: it may in a moment, and nothing was refused."""


class EngineFaultError(EngineError):
    """The engine failed (500): in itself, or because it is being stopped."""


class ImageMissingError(EngineError):
    """The engine has no such image; `hakoiri image build` makes it."""


class ProxyControlError(ContainersError):
    """The credential proxy refused or did not answer."""


class ProxyAwayError(ProxyControlError):
    """The proxy does not answer: it may in a moment."""


class PolicyRefusedError(ProxyControlError):
    """The policy asks for more than the proxy's own file allows."""


class ContainerStartError(ContainersError):
    """The container did not get healthy."""


class ContainerEndedError(ContainerStartError):
    """It ended by itself before it was healthy."""


class AgentUnreachableError(ContainersError):
    """The agent does not answer, or its stream broke off."""


class UnknownTurnError(AgentUnreachableError):
    """The agent knows of no such turn: it never began there."""


class AgentProtocolError(ContainersError):
    """The agent said something that is not in the contract."""


class TooManyCommandsError(ContainersError):
    """As many commands as allowed run in the box."""


class CapacityError(ContainersError):
    """As many containers as allowed are live; try again, at the earliest in `retry_after_s`."""

    def __init__(self, message: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class StoppingError(ContainersError):
    """The server is stopping, and starts no container for anybody."""


class WorkspaceGoneError(ContainersError):
    """The workspace was killed or deleted while a container was waited for."""


class FilesUnsavedError(ContainersError):
    """The workspace's container died with the only copy of files, which are to be saved first."""

    def __init__(self, workspace_id: str) -> None:
        super().__init__(
            f"the container of {workspace_id} died with files that are not saved; they are saved "
            "first"
        )


class BeingReplacedError(ContainersError):
    """Somebody else uses the workspace's container, which was lost; try again in a moment."""

    def __init__(self, workspace_id: str) -> None:
        super().__init__(
            f"the container of {workspace_id} was lost and is being replaced; try again"
        )


class WorkspaceInUseError(ContainersError):
    """Somebody uses the workspace's container; what was asked for needs it to hold still."""


class ClaimConflictError(ContainersError):
    """The workspace already has a container."""


@dataclass(frozen=True, slots=True)
class EngineContainer:
    """A container of ours as the engine sees it; a frozen one runs too."""

    engine_id: str
    container_id: str
    running: bool
    runtime: Runtime = "runc"


@dataclass(frozen=True, slots=True)
class ClaimRecord:
    """One live claim. `is_filled`: the workspace's files are in the container, all of them.

    `created_at` is when the workspace got the container (aware).
    """

    container_id: str
    workspace_id: str
    generation: int
    created_at: datetime
    is_filled: bool = False


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose workspace it is, and what it may reach now."""

    tenant: str
    policy: Policy


class ContainerEngine(Protocol):
    """The engine, behind the guard that may open its socket. Errors are `EngineError`."""

    async def create(self, *, name: str, config: Mapping[str, Any]) -> str:
        """Create a container from an engine configuration; return the engine's id."""

    async def start(self, engine_id: str) -> None:
        """Start it."""

    async def stop(self, engine_id: str, *, grace_s: float) -> None:
        """Ask it to end, kill it after the grace; nothing happens if it is gone."""

    async def remove(self, engine_id: str) -> None:
        """Remove it with its anonymous volumes; nothing happens if it is gone."""

    async def pause(self, engine_id: str) -> None:
        """Freeze all its processes."""

    async def unpause(self, engine_id: str) -> None:
        """Let them run again; nothing happens if they do."""

    async def is_running(self, engine_id: str) -> bool:
        """Whether it exists and runs."""

    async def exit_reason(self, engine_id: str) -> str:
        """Say why it ended (exit code, out of memory), for an error message."""

    async def list_ours(self, instance: str) -> list[EngineContainer]:
        """All containers with our instance's label, running or not."""

    async def make_box(self, container_id: str) -> BoxDirectories:
        """Make the directories of a container that is to be created."""

    async def find_box(self, container_id: str) -> BoxDirectories | None:
        """Return where its directories are; None if there are none."""

    async def remove_box(self, container_id: str) -> None:
        """Remove its directories with all that is in them; nothing happens if they are gone."""

    async def list_boxes(self) -> list[str]:
        """Ids of the containers that have directories."""

    async def image_id(self, reference: str) -> str:
        """Return the content id of an image; `ImageMissingError` if there is none."""

    async def collect_images(self) -> CollectedImages:
        """Take away the images of ours that nothing needs any more; tell which."""

    async def has_user_namespaces(self) -> bool:
        """Whether the engine gives containers users that are nobody on the host."""

    async def check(self, *, runtime: str) -> None:
        """Raise `EngineError` if the engine is away or lacks the runtime."""


Gone = Callable[[], Awaitable[None]]
"""Returns when the proxy that was attached to has ended."""


class ProxyControl(Protocol):
    """The credential proxy's control socket. Errors are `ProxyControlError`."""

    async def open_socket(self, container_id: str) -> Path:
        """Make the container's socket, unbound; return the directory to mount."""

    async def open_bound(
        self,
        container_id: str,
        *,
        workspace_id: str,
        tenant: str,
        generation: int,
        policy: Policy,
        traceparent: str | None = None,
    ) -> None:
        """Make the socket and bind it before anybody can connect; `PolicyRefusedError` likewise."""

    async def bind(
        self,
        container_id: str,
        *,
        workspace_id: str,
        tenant: str,
        generation: int,
        policy: Policy,
        traceparent: str | None = None,
    ) -> None:
        """Let the socket speak for the workspace; `PolicyRefusedError` if too wide.

        Its requests from now on belong below the span that `traceparent` names, if any.
        """

    async def close_socket(self, container_id: str) -> None:
        """Cut its streams and remove it; nothing happens if it is gone."""

    async def open_sockets(self) -> frozenset[str]:
        """Return the names of all sockets that are open, bound or not."""

    async def bound_sockets(self) -> frozenset[str]:
        """Return the containers whose sockets are open and bound."""

    def attached(self) -> AbstractAsyncContextManager[Gone]:
        """Hold on to the proxy that runs now; `ProxyControlError` if none does."""

    async def check(self) -> list[str]:
        """Return reasons why a model call cannot work now; empty if it can."""


class AgentConnection(Protocol):
    """One agent behind its socket. Errors are `AgentUnreachableError`, `AgentProtocolError`."""

    async def health(self) -> AgentHealth:
        """Ask how it is, within a short time limit."""

    def run_turn(self, request: RunTurn) -> AsyncIterator[tuple[int, AgentEvent]]:
        """Start a turn and stream its numbered events to the last."""

    def resume_stream(self, turn_id: str, *, after: int) -> AsyncIterator[tuple[int, AgentEvent]]:
        """Read on after event `after`."""

    async def acknowledge(self, turn_id: str, seq: int) -> None:
        """Events up to `seq` are stored."""

    async def interrupt(self, turn_id: str) -> None:
        """Ask the turn to end early."""

    async def connect(self, options: AgentOptions) -> None:
        """Have the agent's own process started ahead of the first turn. Takes a while."""

    async def disconnect(self) -> None:
        """Have that process ended, and the home emptied again; it must have served nobody."""

    def run_command(
        self, request: RunCommand
    ) -> AbstractAsyncContextManager[AsyncIterator[tuple[int, CommandFrame]]]:
        """Start a command and give its numbered frames; leaving the block kills it.

        Raises `TooManyCommandsError` as well.
        """

    async def probe(self, request: ProbeRequest) -> ProbeReport:
        """Have the box looked at from inside; it must have served nobody. Takes a while."""

    async def close(self) -> None:
        """Let go of the socket."""


class AgentConnector(Protocol):
    """Opens connections to agents."""

    def connect(self, socket_directory: Path) -> AgentConnection:
        """Return the connection to the agent whose socket lies in the directory."""


class PoolStoreError(ContainersError):
    """The pool's setting cannot be read or kept."""


class PoolStore(Protocol):
    """Where the pool's setting outlives the server. Errors are `PoolStoreError`."""

    async def load(self) -> PoolConfiguration | None:
        """Return what was kept, None if nothing was."""

    async def save(self, configuration: PoolConfiguration) -> None:
        """Keep it; it is safe when this returns."""

    async def clear(self) -> None:
        """Keep nothing."""


class ChatSockets(Protocol):
    """The sockets of chat turns, which have no container, at the proxy."""

    async def close_left_over(self) -> int:
        """Close those that no turn uses; return how many. Errors are `ProxyControlError`."""


class ClaimStore(Protocol):
    """Whose container is whose. The database says it, because labels cannot change."""

    async def claim(self, *, container_id: str, workspace_id: str, is_filled: bool = False) -> int:
        """Record the claim; return the new generation. `ClaimConflictError` if one is live.

        If it `is_filled`, there is nothing to put into the container, and `fill` need not be told.
        """

    async def fill(self, container_id: str) -> None:
        """Record that the workspace's files are in the container."""

    async def release(self, container_id: str) -> None:
        """Forget the claim; nothing happens if there is none."""

    async def claimed(self) -> Sequence[ClaimRecord]:
        """All live claims."""
