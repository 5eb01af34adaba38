"""Which losses a turn gets over, and how often. Pure."""

from dataclasses import dataclass
from typing import Final, Literal

from hakoiri.host.containers.ports import (
    AgentUnreachableError,
    CapacityError,
    ClaimConflictError,
    ContainersError,
    FilesUnsavedError,
    PolicyRefusedError,
)
from hakoiri.host.conversations.failures import clip, sole_cause
from hakoiri.host.conversations.model import StopReason
from hakoiri.host.conversations.ports import StoreError
from hakoiri.host.conversations.turn_history import TurnHistory
from hakoiri.host.files.ports import FilesError
from hakoiri.wire.agent import AGENT_KILLED
from hakoiri.wire.events import Error, Result

RECOVERY_LIMIT: Final = 2
"""A turn is taken up so often; what kills its container a third time would do it again."""

LossKind = Literal["container-lost", "agent-killed", "server-restarted", "server-lost"]
"""What was lost: the whole container, the agent's process in it, or the server above both.

A server that was restarted saved what the container left; one that is gone did not.
"""


@dataclass(frozen=True, slots=True)
class Loss:
    """Why a turn needs another container; `reason` is prose for the log."""

    kind: LossKind
    reason: str


def loss_in_failure(error: Exception, *, why: str) -> Loss | None:
    """Return the loss that an error while working stands for; None for what must end the turn.

    An agent that breaks the protocol is hostile, and would be again; one that is silent, or a
    database that is away, is no lost container. `why` is the engine's word on it.
    """
    cause = sole_cause(error)
    if isinstance(cause, AgentUnreachableError):
        return Loss("container-lost", clip(f"{cause} ({why})" if why else str(cause)))
    return None


def loss_in_ending(last: Result | Error) -> Loss | None:
    """Return the loss that the agent itself told of, None for any other ending.

    Nobody here asked for an interrupt: if the agent was, its container is being stopped, as by an
    engine that goes down.
    """
    if not isinstance(last, Error):
        return None
    if last.code == AGENT_KILLED:
        return Loss("agent-killed", last.text)
    if last.code == StopReason.INTERRUPTED:
        return Loss("container-lost", "it was told to stop, and not by this server")
    return None


def loss_with_server(history: TurnHistory) -> tuple[Loss, list[str]]:
    """Return the loss of a turn whose container did not outlive its server, and lost paths.

    What was on a host that is gone nobody can name.
    """
    if history.was_given_up:
        lost = "all that changed since the last recovery point (its server is gone)"
        return Loss("server-lost", "its server is gone"), [lost]
    return Loss("server-restarted", "it was gone when the server came back"), []


def may_pass(error: Exception) -> bool:
    """Whether what keeps a workspace from another container may be over soon.

    An engine or a proxy that is started again is; what the policy, the database or the files say
    is not, and a server that is full tells at once.
    """
    lasting = (
        StoreError,
        FilesError,
        CapacityError,
        ClaimConflictError,
        PolicyRefusedError,
        FilesUnsavedError,
    )
    return isinstance(error, ContainersError) and not isinstance(error, lasting)


def given_up(loss: Loss) -> Error:
    """Tell that the turn lost its container once too often."""
    return Error(
        code="container-lost",
        text=clip(
            f"The turn lost its container {RECOVERY_LIMIT + 1} times and was given up; give it a "
            f"smaller task, or the container more memory. ({loss.reason})"
        ),
        retryable=True,
    )
