"""A workspace's live container as the orchestrator keeps it."""

from dataclasses import dataclass
from typing import TypedDict

from hakoiri.host.containers.gc import Member
from hakoiri.host.containers.lifecycle import StartedContainer
from hakoiri.host.containers.model import ContainerState
from hakoiri.wire.policy import Policy


@dataclass(slots=True)
class Live:
    """A workspace's live container, and what its socket is bound to.

    `idle_since_s` is None while a turn uses it (monotonic seconds, as `started_at_s`, which for an
    adopted one is when it was adopted). `is_unsaved`: it holds the only copy of files.
    """

    container: StartedContainer
    workspace_id: str
    tenant: str
    generation: int
    policy: Policy
    started_at_s: float
    idle_since_s: float | None = None
    is_unsaved: bool = False

    @property
    def member(self) -> Member:
        """Return what the collector needs to know of it."""
        return Member(
            container_id=self.container.container_id,
            workspace_id=self.workspace_id,
            started_at_s=self.started_at_s,
            idle_since_s=self.idle_since_s,
            is_frozen=self.container.state is ContainerState.PAUSED,
            is_unsaved=self.is_unsaved,
        )


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
