"""A whole containers room in memory."""

from dataclasses import dataclass, field
from pathlib import Path

from anyio.lowlevel import checkpoint

from hakoiri.host.containers.hardening import ContainerLimits, ContainerSpec
from hakoiri.host.containers.lifecycle import Lifecycle
from hakoiri.host.containers.orchestrator import Orchestrator
from hakoiri.host.containers.testing import (
    MemoryClaims,
    MemoryEngine,
    MemoryProxy,
    ScriptedAgents,
)

LIMITS = ContainerLimits(
    memory_mib=512, cpus=1, pids=64, tmp_mib=16, shm_mib=8, open_files=256, file_limit_bytes=1
)


def make_spec(container_id: str) -> ContainerSpec:
    return ContainerSpec(
        instance="i1",
        container_id=container_id,
        image_id="sha256:abc",
        runtime="runc",
        limits=LIMITS,
        seccomp_profile="{}",
    )


async def no_sleep(_: float) -> None:
    await checkpoint()


@dataclass
class Fleet:
    root: Path
    limit: int = 2
    now_s: float = 0.0
    start_timeout_s: float = 5.0
    engine: MemoryEngine = field(default_factory=MemoryEngine)
    proxy: MemoryProxy = field(default_factory=MemoryProxy)
    claims: MemoryClaims = field(default_factory=MemoryClaims)
    agents: ScriptedAgents = field(default_factory=ScriptedAgents)

    def __post_init__(self) -> None:
        self.engine.root = self.root

    def lifecycle(self) -> Lifecycle:
        return Lifecycle(
            engine=self.engine,
            proxy=self.proxy,
            agents=self.agents,
            make_spec=make_spec,
            instance="i1",
            start_timeout_s=self.start_timeout_s,
            stop_grace_s=0,
            sleep=no_sleep,
        )

    def orchestrator(self, lifecycle: Lifecycle | None = None) -> Orchestrator:
        return Orchestrator(
            lifecycle=lifecycle or self.lifecycle(),
            proxy=self.proxy,
            claims=self.claims,
            limit=self.limit,
            clock=lambda: self.now_s,
        )

    def is_empty(self) -> bool:
        return not (
            self.engine.containers
            or self.proxy.sockets
            or self.claims.by_container
            or (self.root.exists() and any(self.root.iterdir()))
        )
