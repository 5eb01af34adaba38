"""What a failure means for a turn: the `error` event that tells it, and the fate of the container.

Pure. Codes are stable: clients may act on them.
"""

from dataclasses import dataclass
from typing import Final

from hakoiri.host.containers.ports import (
    AgentProtocolError,
    AgentUnreachableError,
    CapacityError,
    ClaimConflictError,
    ContainersError,
    FilesUnsavedError,
    PolicyRefusedError,
)
from hakoiri.host.conversations.model import StopReason
from hakoiri.host.conversations.ports import (
    ChatModelError,
    NoSuchPolicyError,
    NoTurnRunningError,
    StoreError,
)
from hakoiri.host.conversations.runtime_choice import RuntimeNotAllowedError
from hakoiri.host.files.ports import DamagedError, FilesError, QuotaError
from hakoiri.wire.events import Error, Result

TEXT_LIMIT_CHARS: Final = 4096


class AgentSilentError(ContainersError):
    """The agent said nothing for longer than a turn may be silent."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a turn ends. `is_container_sound` is False where its state is not known."""

    data: Result | Error
    is_container_sound: bool


@dataclass(frozen=True, slots=True)
class _Meaning:
    code: str
    text: str
    retryable: bool


# The first class that fits counts: an error of the database belongs to every room.
STARTING: Final[tuple[tuple[type[Exception], _Meaning], ...]] = (
    (StoreError, _Meaning("record-failed", "The turn could not be recorded.", retryable=True)),
    (
        NoSuchPolicyError,
        _Meaning("policy-missing", "Store the conversation's policy, then retry.", retryable=False),
    ),
    (
        QuotaError,
        _Meaning(
            "workspace-too-large",
            "The workspace's files do not fit the disk of a container; its quota must be raised.",
            retryable=False,
        ),
    ),
    (
        RuntimeNotAllowedError,
        _Meaning(
            "runtime-not-allowed",
            "The conversation's container runtime is not allowed any more.",
            retryable=False,
        ),
    ),
    (
        DamagedError,
        _Meaning(
            "files-damaged",
            "The workspace's files could not be restored; check the object store.",
            retryable=False,
        ),
    ),
    (
        FilesError,
        _Meaning(
            "files-unavailable",
            "The object store does not give the workspace's files; send the message again.",
            retryable=True,
        ),
    ),
    (
        PolicyRefusedError,
        _Meaning(
            "policy-refused",
            "The credential proxy refuses the policy; narrow it to what the proxy's file allows.",
            retryable=False,
        ),
    ),
    (
        CapacityError,
        _Meaning("capacity", "No container was free for the turn; try later.", retryable=True),
    ),
    (
        ClaimConflictError,
        _Meaning("workspace-busy", "The workspace is live elsewhere; try later.", retryable=True),
    ),
    (
        FilesUnsavedError,
        _Meaning(
            "files-not-saved",
            "Files of the last turn are being saved; try again in a minute.",
            retryable=True,
        ),
    ),
    (
        ContainersError,
        _Meaning(
            "container-start-failed",
            "No container could be started; `hakoiri doctor` says what is missing.",
            retryable=True,
        ),
    ),
)

WORKING: Final[tuple[tuple[type[Exception], _Meaning], ...]] = (
    # Nobody reads it: the log is the other server's.
    (NoTurnRunningError, _Meaning("taken-over", "Another server has the turn.", retryable=False)),
    (StoreError, _Meaning("record-failed", "The turn could not be recorded.", retryable=True)),
    (ChatModelError, _Meaning("model-failed", "The model did not answer.", retryable=True)),
    (
        AgentSilentError,
        _Meaning(
            "agent-silent", "The agent stopped talking; send the message again.", retryable=True
        ),
    ),
    (
        AgentProtocolError,
        _Meaning(
            "agent-protocol",
            "The agent broke the protocol; its container was given up. Send the message again.",
            retryable=True,
        ),
    ),
    (
        AgentUnreachableError,
        _Meaning(
            "container-lost", "The container was lost; send the message again.", retryable=True
        ),
    ),
    (
        ContainersError,
        _Meaning(
            "container-lost", "The container was lost; send the message again.", retryable=True
        ),
    ),
)

INTERNAL: Final = _Meaning("internal", "The server failed; its log says why.", retryable=True)

CODES: Final = frozenset(
    {meaning.code for _, meaning in (*STARTING, *WORKING)}
    | {INTERNAL.code, "turn-timeout", "server-restarted", *StopReason}
)
"""All codes that the server itself gives an error."""


def error_while_starting(error: Exception) -> Error:
    """Tell why no turn could begin."""
    return _tell(STARTING, error)


def error_while_working(error: Exception, *, why_lost: str = "") -> Error:
    """Tell why a turn that had begun broke off; `why_lost` is the engine's word on it."""
    return _tell(WORKING, error, why_lost)


def is_loss(error: Exception) -> bool:
    """Whether the container is worth asking after."""
    return isinstance(error, AgentUnreachableError)


def is_known(error: Exception) -> bool:
    """Whether the failure is one that the rooms foresee; else it is a fault of ours."""
    return any(isinstance(sole_cause(error), kind) for kind, _ in (*STARTING, *WORKING))


def timed_out(limit_s: float) -> Error:
    """Tell that the turn took longer than a turn may take."""
    return Error(
        code="turn-timeout",
        text=f"The turn took longer than {limit_s:g} s; send a smaller task.",
        retryable=True,
    )


def stopped(reason: StopReason) -> Error:
    """Tell that the turn was asked to end early."""
    text = {
        StopReason.INTERRUPTED: "The turn was interrupted.",
        StopReason.SERVER_STOPPED: "The server stopped; send the message again.",
    }[reason]
    return Error(code=reason, text=text, retryable=reason is StopReason.SERVER_STOPPED)


def restarted() -> Error:
    """Tell that the server went away during the turn."""
    return Error(
        code="server-restarted",
        text="The server was restarted during the turn; send the message again.",
        retryable=True,
    )


def sole_cause(error: Exception) -> Exception:
    """Unwrap the groups in which a task group wraps the one error of a child."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def clip(text: str) -> str:
    """Cut a text to what an event may hold."""
    return text if len(text) <= TEXT_LIMIT_CHARS else text[: TEXT_LIMIT_CHARS - 1] + "…"


def _tell(
    meanings: tuple[tuple[type[Exception], _Meaning], ...], error: Exception, why_lost: str = ""
) -> Error:
    cause = sole_cause(error)
    meaning = next((meaning for kind, meaning in meanings if isinstance(cause, kind)), INTERNAL)
    # What an unforeseen error says may hold anything, so it stays in the server's log.
    details = [] if meaning is INTERNAL else [str(cause), why_lost]
    text = " ".join([meaning.text, *(f"({detail})" for detail in details if detail)])
    return Error(code=meaning.code, text=clip(text), retryable=meaning.retryable)
