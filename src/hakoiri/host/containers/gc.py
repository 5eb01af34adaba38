"""Which live containers may go, purely. Their workspaces stay."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class IdleMember:
    """A claimed container; `idle_since_s` is None while a turn uses it (monotonic seconds)."""

    workspace_id: str
    idle_since_s: float | None


def overdue(members: Iterable[IdleMember], *, now_s: float, idle_timeout_s: float) -> list[str]:
    """Return the workspaces whose containers have been idle for the timeout or longer."""
    return [
        member.workspace_id
        for member in members
        if member.idle_since_s is not None and now_s - member.idle_since_s >= idle_timeout_s
    ]


def longest_idle(members: Iterable[IdleMember]) -> str | None:
    """Return the workspace whose container gives way when all places are taken, if any may."""
    idle = [
        (member.idle_since_s, member.workspace_id)
        for member in members
        if member.idle_since_s is not None
    ]
    return min(idle)[1] if idle else None
