"""A workspace's live container as the orchestrator keeps it."""

from dataclasses import dataclass, field
from typing import Final, TypedDict

from hakoiri.host.containers.gc import Member
from hakoiri.host.containers.lifecycle import Prepare, StartedContainer
from hakoiri.host.containers.model import Claim, ContainerState
from hakoiri.host.containers.ports import ContainersError, WorkspaceInUseError
from hakoiri.host.telemetry.pool_metrics import Start
from hakoiri.tracing.spans import carried
from hakoiri.wire.messages import Runtime
from hakoiri.wire.policy import Policy

TURN: Final = "turn"
"""Holds a container for the workspace's turn, of which there is one at a time."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What a claim asks for."""

    workspace_id: str
    tenant: str
    policy: Policy
    prepare: Prepare
    runtime: Runtime
    restores: bool


@dataclass(slots=True)
class Live:
    """A workspace's live container, and what its socket is bound to.

    `idle_since_s` is None while somebody holds it (monotonic seconds, as `started_at_s`, which is
    when the workspace got it, under whichever server). `is_unsaved`: it holds the only copy of
    files.
    """

    container: StartedContainer
    workspace_id: str
    tenant: str
    generation: int
    policy: Policy
    runtime: Runtime
    started_at_s: float
    holders: set[str] = field(default_factory=set)
    """Who uses it now: a turn, commands, a save that is due. It idles when there is none."""

    idle_since_s: float | None = None
    is_unsaved: bool = False
    uses: int = 0
    """How often somebody has begun to use it."""

    traceparent: str | None = None
    """The span below which its requests belong: of the claim that it was given out by last."""

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
            is_lost=self.container.state is ContainerState.HALTED,
            asked=self.policy.container,
        )

    def hold(self, holder: str) -> None:
        """Let somebody use it; it is not idle from now on."""
        self.holders.add(holder)
        self.uses += 1
        self.idle_since_s = None

    def let_go(self, holder: str, *, now_s: float) -> None:
        """Say that somebody uses it no more; without any it is idle from now on."""
        if holder not in self.holders:
            return
        self.holders.discard(holder)
        if not self.holders:
            self.idle_since_s = now_s

    def check_free_of(self, holder: str | None) -> None:
        """Raise `WorkspaceInUseError` if that one uses it."""
        if holder is not None and holder in self.holders:
            raise WorkspaceInUseError(f"a {holder} uses the workspace; wait for its end")

    def was_used_before(self, holder: str) -> bool:
        """Whether anybody has used it before this one, or beside him."""
        return self.uses > (holder in self.holders)

    def is_needed_beside(self, holder: str) -> bool:
        """Whether others use it, or it holds the only copy of files."""
        return bool(self.holders - {holder}) or self.is_unsaved

    def claim(self, start: Start) -> Claim:
        """Return what whoever holds it gets."""
        if self.container.agent is None:
            raise ContainersError("a claimed container has no agent connection")
        return Claim(
            container_id=self.container.container_id,
            workspace_id=self.workspace_id,
            generation=self.generation,
            start=start,
            agent=self.container.agent,
            directories=self.container.directories,
        )


def live_of(container: StartedContainer, ask: Ask, *, generation: int, now_s: float) -> Live:
    """Return the container as the one of the workspace that asked."""
    return Live(
        container=container,
        workspace_id=ask.workspace_id,
        tenant=ask.tenant,
        generation=generation,
        policy=ask.policy,
        runtime=ask.runtime,
        started_at_s=now_s,
        traceparent=carried(),
    )


class SpeaksFor(TypedDict):
    """Whom a socket speaks for, as the proxy is told."""

    workspace_id: str
    tenant: str
    generation: int
    policy: Policy
    traceparent: str | None


def speaks_for(live: Live, policy: Policy) -> SpeaksFor:
    """Return whom the container's socket speaks for under a policy."""
    return SpeaksFor(
        workspace_id=live.workspace_id,
        tenant=live.tenant,
        generation=live.generation,
        policy=policy,
        traceparent=live.traceparent,
    )
