"""Puts the containers room together: what starts, keeps, hands out and counts containers."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from hakoiri.audit.writer import AuditLog
from hakoiri.host.adapters.agent_client import AgentConnectorOverSockets
from hakoiri.host.adapters.docker import DockerEngine
from hakoiri.host.adapters.pool_file import PoolFile
from hakoiri.host.adapters.proxy_client import ProxyClient
from hakoiri.host.adapters.sql.claim_store import SqlClaimStore
from hakoiri.host.adapters.sql.database import Database
from hakoiri.host.containers.box import Box
from hakoiri.host.containers.lifecycle import Lifecycle
from hakoiri.host.containers.orchestrator import Orchestrator
from hakoiri.host.containers.pool_keeper import PoolKeeper
from hakoiri.host.containers.pool_service import PoolService
from hakoiri.host.containers.warm_pool import Shape
from hakoiri.host.files.quota import total_use
from hakoiri.host.settings import Settings
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
    database: Database,
    image_id: str,
    metrics: ServerMetrics,
    clock: Callable[[], datetime],
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
    orchestrator = Orchestrator(
        lifecycle=lifecycle,
        proxy=proxy,
        claims=SqlClaimStore(database, clock=clock),
        pool=keeper,
        metrics=metrics.pool,
        limit=settings.container.limit,
        clock=time.monotonic,
    )
    metrics.watch_containers(orchestrator.live_containers, paused=orchestrator.paused_containers)
    metrics.watch_disks(lambda: total_use(orchestrator.live_disks()))
    pool = PoolService(
        keeper=keeper,
        store=PoolFile(settings.data_dir),
        from_settings=configuration,
        audit=audit,
    )
    return Fleet(lifecycle, keeper, orchestrator, pool)


def pool_configuration(settings: Settings) -> PoolConfiguration:
    """Return what the settings say of the pool: one of the usual runtime."""
    given = settings.warm_pool
    return PoolConfiguration(
        runtimes={settings.container.runtime: given.size()},
        max_age_s=given.max_age_s,
        refills_at_once=given.refills_at_once,
        preconnect=given.preconnect,
    )
