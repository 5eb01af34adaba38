"""Puts the containers room together: what starts, keeps, hands out and counts containers."""

import time
from dataclasses import dataclass

from hakoiri.audit.writer import AuditLog
from hakoiri.host.adapters.agent_client import AgentConnectorOverSockets
from hakoiri.host.adapters.docker import DockerEngine
from hakoiri.host.adapters.host_resources import HostResources
from hakoiri.host.adapters.proxy_client import ProxyClient
from hakoiri.host.containers.admission_gate import AdmissionLimits
from hakoiri.host.containers.box import Box
from hakoiri.host.containers.capacity import Level, Need, Threshold, Thresholds
from hakoiri.host.containers.gc_limits import gc_limits
from hakoiri.host.containers.host_watch import HostLimits, HostWatch
from hakoiri.host.containers.last_save import Saves
from hakoiri.host.containers.lifecycle import Lifecycle
from hakoiri.host.containers.orchestrator import Orchestrator
from hakoiri.host.containers.pool_keeper import PoolKeeper
from hakoiri.host.containers.pool_service import PoolService
from hakoiri.host.containers.ports import ClaimStore, PoolStore
from hakoiri.host.containers.slot_states import slot_states
from hakoiri.host.containers.traced_orchestrator import TracedOrchestrator
from hakoiri.host.containers.warm_pool import Shape
from hakoiri.host.files.quota import total_use
from hakoiri.host.settings import MIB, Settings
from hakoiri.host.telemetry.container_metrics import StartTally
from hakoiri.host.telemetry.metrics import ServerMetrics
from hakoiri.wire.agent import AgentOptions
from hakoiri.wire.pool import PoolConfiguration


@dataclass(frozen=True, slots=True)
class Fleet:
    """All that deals with containers in one server."""

    lifecycle: Lifecycle
    keeper: PoolKeeper
    orchestrator: Orchestrator
    pool: PoolService
    host_watch: HostWatch
    saves: Saves
    """To be told who saves, before anything is claimed."""


def make_lifecycle(
    box: Box,
    *,
    engine: DockerEngine,
    proxy: ProxyClient,
    image_id: str,
    starts: StartTally | None = None,
) -> Lifecycle:
    """Put together what starts and removes containers of the box; `starts` counts them."""
    return Lifecycle(
        engine=engine,
        proxy=proxy,
        agents=AgentConnectorOverSockets(),
        make_spec=box.maker(image_id),
        instance=box.instance,
        start_timeout_s=box.settings.container.start_timeout_s,
        stop_grace_s=box.settings.container.stop_grace_s,
        starts=starts,
    )


def make_fleet(
    box: Box,
    *,
    engine: DockerEngine,
    proxy: ProxyClient,
    claims: ClaimStore,
    pool_store: PoolStore,
    image_id: str,
    metrics: ServerMetrics,
    audit: AuditLog,
) -> Fleet:
    """Put the room together over its open edges."""
    settings = box.settings
    lifecycle = make_lifecycle(
        box, engine=engine, proxy=proxy, image_id=image_id, starts=metrics.containers
    )
    configuration = pool_configuration(settings)
    keeper = PoolKeeper(
        lifecycle=lifecycle,
        shapes={
            runtime: Shape(image_id, runtime, box.limits())
            for runtime in settings.container.allowed_runtimes
        },
        configuration=configuration,
        # what a conversation has that asks for nothing of its own
        connect_options=AgentOptions(model=settings.model.name),
        metrics=metrics.pool,
    )
    saves = Saves()
    orchestrator = TracedOrchestrator(
        lifecycle=lifecycle,
        proxy=proxy,
        claims=claims,
        pool=keeper,
        save=saves,
        limits=gc_limits(settings),
        metrics=metrics.pool,
        admission=admission_limits(settings),
        admission_metrics=metrics.admission,
        clock=time.monotonic,
    )
    metrics.watch_containers(orchestrator.live_containers, paused=orchestrator.paused_containers)
    _watch_slots(metrics, orchestrator, keeper)
    metrics.watch_disks(lambda: total_use(orchestrator.live_disks()))
    pool = PoolService(
        keeper=keeper,
        store=pool_store,
        from_settings=configuration,
        audit=audit,
    )
    host_watch = HostWatch(
        read=HostResources().read,
        gate=orchestrator.admission,
        limits=host_limits(settings),
        level_changed=keeper.wake,
        clock=time.monotonic,
    )
    return Fleet(lifecycle, keeper, orchestrator, pool, host_watch, saves)


def _watch_slots(metrics: ServerMetrics, orchestrator: Orchestrator, keeper: PoolKeeper) -> None:
    gate = orchestrator.admission
    metrics.admission.watch_slots(
        lambda: slot_states(
            orchestrator.members(),
            occupied=orchestrator.occupied(),
            warm=len(keeper.members()),
            promised=gate.promised,
            free=gate.free(),
        ),
        shortage=lambda: int(gate.level),
    )


def admission_limits(settings: Settings) -> AdmissionLimits:
    """Return what the settings say of the line; the host may bear fewer containers."""
    given = settings.admission
    return AdmissionLimits(
        slots=settings.container.limit,
        queue=given.queue_limit,
        tenant_queue=given.tenant_limit,
        wait_s=given.wait_s,
    )


def host_limits(settings: Settings) -> HostLimits:
    """Return what the settings make of a reading of the host."""
    given, container = settings.admission, settings.container
    return HostLimits(
        configured=container.limit,
        need=Need(
            memory_bytes=max(1, int(container.memory_mib * MIB / given.memory_overcommit)),
            reserve_bytes=given.memory_reserve_mib * MIB,
            pids=container.pids,
        ),
        thresholds=Thresholds(
            {
                Level.HOLD: Threshold(given.pressure_hold_percent, given.available_hold_percent),
                Level.DRAIN: Threshold(given.pressure_drain_percent, given.available_drain_percent),
                Level.WAIT: Threshold(given.pressure_wait_percent, given.available_wait_percent),
            },
            pressure_below=given.pressure_below_percent,
        ),
        calm_s=given.calm_s,
    )


def pool_configuration(settings: Settings) -> PoolConfiguration:
    """Return what the settings say of the pool: one of the usual runtime."""
    given = settings.warm_pool
    return PoolConfiguration(
        runtimes={settings.container.runtime: given.size()},
        max_age_s=given.max_age_s,
        refills_at_once=given.refills_at_once,
        preconnect=given.preconnect,
    )
