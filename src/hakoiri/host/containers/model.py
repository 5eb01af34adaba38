"""Containers as plain data: their states, the transitions between them, and what a claim gives."""

import hashlib
import secrets
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, Literal, Self

from hakoiri.host.containers.ports import AgentConnection, ContainersError
from hakoiri.wire.guard import BoxDirectories


class ContainerState(StrEnum):
    """Where a container is in its life. It serves one workspace, and only a pause is left again."""

    CREATING = "creating"
    """Its sockets and directories are made, and the engine was asked to create it."""

    STARTING = "starting"
    """The engine was asked to start it; its agent has not answered yet."""

    HEALTHY = "healthy"
    """Its agent answers; nobody owns it."""

    CLAIMED = "claimed"
    """A workspace is live in it."""

    PAUSED = "paused"
    """Its workspace is idle: its processes are frozen, until the next turn thaws them."""

    HALTED = "halted"
    """It was lost in a turn: nothing runs in it, and its directories wait to be saved."""

    STOPPING = "stopping"
    """Its socket is unbound and it is being stopped."""

    GONE = "gone"
    """Container, sockets and directories are removed."""


TRANSITIONS: Final[dict[ContainerState, frozenset[ContainerState]]] = {
    ContainerState.CREATING: frozenset({ContainerState.STARTING, ContainerState.STOPPING}),
    ContainerState.STARTING: frozenset({ContainerState.HEALTHY, ContainerState.STOPPING}),
    ContainerState.HEALTHY: frozenset({ContainerState.CLAIMED, ContainerState.STOPPING}),
    ContainerState.CLAIMED: frozenset(
        {ContainerState.PAUSED, ContainerState.HALTED, ContainerState.STOPPING}
    ),
    ContainerState.PAUSED: frozenset({ContainerState.CLAIMED, ContainerState.STOPPING}),
    ContainerState.HALTED: frozenset({ContainerState.STOPPING}),
    ContainerState.STOPPING: frozenset({ContainerState.GONE}),
    ContainerState.GONE: frozenset(),
}


class IllegalTransitionError(ContainersError):
    """The table does not allow this step; it is a fault in the orchestrator."""


MARK_CHARS: Final = 6
"""Hex: of 16 million marks two instances have the same one by chance alone."""

RANDOM_BYTES: Final = 5
"""With the mark they are the 16 hex digits of a container's id (`CONTAINER_ID_PATTERN`)."""


def advance(state: ContainerState, to: ContainerState) -> ContainerState:
    """Return `to` if the table allows the step; else raise `IllegalTransitionError`."""
    if to not in TRANSITIONS[state]:
        raise IllegalTransitionError(f"a container cannot go from {state} to {to}")
    return to


def new_container_id(instance: str) -> str:
    """Return a new random container id; it is also the name of its directories and sockets.

    It begins with the instance's mark, so that servers that share a database know their own claims,
    also those whose container is gone.
    """
    return f"c{mark(instance)}{secrets.token_hex(RANDOM_BYTES)}"


def is_of(container_id: str, instance: str) -> bool:
    """Whether a container is the instance's, by its mark."""
    return mark_of(container_id) == mark(instance)


def mark_of(container_id: str) -> str:
    """Return the mark of the instance that a container belongs to."""
    return container_id[1 : 1 + MARK_CHARS]


def mark(instance: str) -> str:
    """Return what the ids of an instance's containers have in common."""
    return hashlib.sha256(instance.encode()).hexdigest()[:MARK_CHARS]


@dataclass(frozen=True, slots=True)
class ContainerDirectories:
    """Where the container's directories lie on this host, and who owns what is in them."""

    workspace: Path
    home: Path
    agent: Path
    owner_uid: int
    owner_gid: int

    @classmethod
    def of(cls, box: BoxDirectories) -> Self:
        """Return what the guard made."""
        return cls(
            Path(box.workspace), Path(box.home), Path(box.agent), box.owner_uid, box.owner_gid
        )


@dataclass(frozen=True, slots=True)
class Claim:
    """A workspace's container: `start` says if it was live, waited warm, or was started cold."""

    container_id: str
    workspace_id: str
    generation: int
    start: Literal["live", "warm", "cold"]
    agent: AgentConnection
    directories: ContainerDirectories
