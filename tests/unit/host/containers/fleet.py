"""A whole containers room in memory."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from anyio.lowlevel import checkpoint
from prometheus_client import CollectorRegistry

from hakoiri.host.containers.admission_gate import AdmissionLimits
from hakoiri.host.containers.gc import GcLimits
from hakoiri.host.containers.hardening import ContainerLimits, ContainerSpec
from hakoiri.host.containers.last_save import Save
from hakoiri.host.containers.lifecycle import Lifecycle
from hakoiri.host.containers.model import ContainerDirectories
from hakoiri.host.containers.orchestrator import Orchestrator
from hakoiri.host.containers.pool_keeper import PoolKeeper
from hakoiri.host.containers.scripted_agents import ScriptedAgents
from hakoiri.host.containers.testing import MemoryClaims, MemoryEngine, MemoryProxy
from hakoiri.host.containers.warm_pool import Shape
from hakoiri.host.telemetry.admission_metrics import AdmissionMetrics
from hakoiri.host.telemetry.container_metrics import StartTally
from hakoiri.host.telemetry.pool_metrics import PoolMetrics
from hakoiri.wire.agent import AgentOptions
from hakoiri.wire.messages import Runtime
from hakoiri.wire.pool import PoolConfiguration, PoolSize

LIMITS = ContainerLimits(
    memory_mib=512, cpus=1, pids=64, tmp_mib=16, shm_mib=8, open_files=256, file_limit_bytes=1
)


def make_spec(container_id: str, runtime: Runtime | None = None) -> ContainerSpec:
    return ContainerSpec(
        instance="i1",
        container_id=container_id,
        image_id="sha256:abc",
        runtime=runtime or "runc",
        limits=LIMITS,
        seccomp_profile="{}",
    )


SHAPES: dict[Runtime, Shape] = {
    "runc": Shape("sha256:abc", "runc", LIMITS),
    "runsc": Shape("sha256:abc", "runsc", LIMITS),
}
OPTIONS = AgentOptions(model="m")


def pool_of(
    minimum: int, target: int, maximum: int, *, preconnect: bool = False, at_once: int = 4
) -> PoolConfiguration:
    """A pool of `runc` containers that live for 100 s."""
    return PoolConfiguration(
        runtimes={"runc": PoolSize(min=minimum, target=target, max=maximum)},
        max_age_s=100,
        refills_at_once=at_once,
        preconnect=preconnect,
    )


NO_POOL = pool_of(0, 0, 0)


FOR_EVER = GcLimits(idle_timeout_s=1e9, lifetime_s=1e9, pause_after_s=None, stray_grace_s=1e9)


async def no_sleep(_: float) -> None:
    await checkpoint()


@dataclass
class Fleet:
    root: Path
    limit: int = 2
    queue: int = 0
    """So many claims may wait; none: one that finds no place is refused at once."""

    wait_s: float = 60
    now_s: float = 0.0
    start_timeout_s: float = 5.0
    pool: PoolConfiguration = NO_POOL
    pauses: list[float] = field(default_factory=list)
    engine: MemoryEngine = field(default_factory=MemoryEngine)
    proxy: MemoryProxy = field(default_factory=MemoryProxy)
    claims: MemoryClaims = field(default_factory=MemoryClaims)
    agents: ScriptedAgents = field(default_factory=ScriptedAgents)

    can_save: bool = True
    saved: list[str] = field(default_factory=list)
    """The workspaces of which it was tried to save the files, in order."""

    meanwhile: Callable[[], Awaitable[object]] | None = None
    """Done while a save goes on."""

    def __post_init__(self) -> None:
        self.engine.root = self.root

    async def save(
        self, workspace_id: str, *, generation: int, directories: ContainerDirectories
    ) -> bool:
        """Save a workspace, if any can be saved."""
        assert generation >= 1
        assert directories.workspace.exists()
        if self.meanwhile is not None:
            await self.meanwhile()
        self.saved.append(workspace_id)
        return self.can_save

    async def pass_time(self, for_s: float) -> None:
        """Let the clock of a claim that waits for what is away go on."""
        self.pauses.append(for_s)
        self.now_s += for_s
        await checkpoint()

    def lifecycle(self, *, starts: StartTally | None = None) -> Lifecycle:
        return Lifecycle(
            engine=self.engine,
            proxy=self.proxy,
            agents=self.agents,
            make_spec=make_spec,
            instance="i1",
            start_timeout_s=self.start_timeout_s,
            stop_grace_s=0,
            sleep=no_sleep,
            starts=starts,
            clock=lambda: self.now_s,
        )

    def keeper(self, lifecycle: Lifecycle | None = None) -> PoolKeeper:
        """Return a keeper for the fleet's pool; it counts in a registry of its own."""
        return PoolKeeper(
            lifecycle=lifecycle or self.lifecycle(),
            shapes=SHAPES,
            configuration=self.pool,
            connect_options=OPTIONS,
            metrics=PoolMetrics(CollectorRegistry()),
            clock=lambda: self.now_s,
            jitter=lambda: 0.0,
        )

    def orchestrator(
        self,
        keeper: PoolKeeper | None = None,
        *,
        lifecycle: Lifecycle | None = None,
        kind: type[Orchestrator] = Orchestrator,
        save: Save | None = None,
        limits: GcLimits = FOR_EVER,
    ) -> Orchestrator:
        lifecycle = lifecycle or self.lifecycle()
        return kind(
            lifecycle=lifecycle,
            pool=keeper or self.keeper(lifecycle),
            metrics=PoolMetrics(CollectorRegistry()),
            proxy=self.proxy,
            claims=self.claims,
            save=save or self.save,
            limits=limits,
            admission=AdmissionLimits(
                slots=self.limit, queue=self.queue, tenant_queue=self.queue, wait_s=self.wait_s
            ),
            admission_metrics=AdmissionMetrics(CollectorRegistry()),
            clock=lambda: self.now_s,
            sleep=self.pass_time,
        )

    def server_dies(self) -> None:
        """Its connections to agents end with its process."""
        self.agents.by_directory.clear()

    def is_empty(self) -> bool:
        """Whether nothing is left, no connection to an agent either."""
        return not (
            self.engine.containers
            or self.proxy.sockets
            or self.claims.by_container
            or (self.root.exists() and any(self.root.iterdir()))
            or not all(agent.closed for agent in self.agents.by_directory.values())
        )


def container_id_of(orchestrator: Orchestrator, workspace_id: str) -> str:
    """Return the id of the workspace's live container."""
    live = orchestrator.live_in(workspace_id)
    assert live is not None
    return live.container.container_id
