"""Puts the containers room together: what starts, keeps, hands out and counts containers."""

import time
from dataclasses import dataclass

from hakoiri.host.adapters.agent_client import AgentConnectorOverSockets
from hakoiri.host.adapters.docker import DockerEngine
from hakoiri.host.adapters.proxy_client import ProxyClient
from hakoiri.host.containers.box import Box
from hakoiri.host.containers.lifecycle import Lifecycle
from hakoiri.host.containers.orchestrator import Orchestrator
from hakoiri.host.containers.pool_keeper import PoolKeeper
from hakoiri.host.containers.pool_service import PoolService
from hakoiri.host.containers.ports import ClaimStore, PoolStore
from hakoiri.host.containers.warm_pool import Shape
from hakoiri.host.files.quota import total_use
from hakoiri.host.settings import Settings
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
    box: Box, *, engine: DockerEngine, proxy: ProxyClient, image_id: str
) -> Lifecycle:
    """Put together what starts and removes containers of the box."""
    return Lifecycle(
        engine=engine,
        proxy=proxy,
        agents=AgentConnectorOverSockets(),
        make_spec=box.maker(image_id),
        instance=box.instance,
        start_timeout_s=box.settings.container.start_timeout_s,
        stop_grace_s=box.settings.container.stop_grace_s,
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
) -> Fleet:
    """Put the room together over its open edges."""
    settings = box.settings
    lifecycle = make_lifecycle(box, engine=engine, proxy=proxy, image_id=image_id)
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
        claims=claims,
        pool=keeper,
        metrics=metrics.pool,
        limit=settings.container.limit,
        clock=time.monotonic,
    )
    metrics.watch_containers(orchestrator.live_containers, paused=orchestrator.paused_containers)
    metrics.watch_disks(lambda: total_use(orchestrator.live_disks()))
    pool = PoolService(keeper=keeper, store=pool_store, from_settings=configuration)
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
