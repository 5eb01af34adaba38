"""A workspace's live container as the orchestrator keeps it."""

from dataclasses import dataclass
from typing import TypedDict

from hakoiri.host.containers.lifecycle import StartedContainer
from hakoiri.wire.policy import Policy


@dataclass(slots=True)
class Live:
    """A workspace's live container, and what its socket is bound to.

    `idle_since_s` is None while a turn uses it (monotonic seconds).
    """

    container: StartedContainer
    workspace_id: str
    tenant: str
    generation: int
    policy: Policy
    idle_since_s: float | None = None


class SpeaksFor(TypedDict):
    """Whom a socket speaks for, as the proxy is told."""

    workspace_id: str
    tenant: str
    generation: int
    policy: Policy


def speaks_for(live: Live, policy: Policy) -> SpeaksFor:
    """Return whom the container's socket speaks for under the policy."""
    return SpeaksFor(
        workspace_id=live.workspace_id,
        tenant=live.tenant,
        generation=live.generation,
        policy=policy,
    )
