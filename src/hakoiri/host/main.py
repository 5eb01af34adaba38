"""The composition root: the only place that wires the server's rooms together.

Started by the supervisor (or a unit of its own) with a `ServerLaunch` as JSON on standard input.
"""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Final

import uvloop
from pydantic import ValidationError

from hakoiri.audit.chain import AuditError
from hakoiri.audit.keeper_status import KeeperStatus
from hakoiri.audit.shipping.status import ShipStatus
from hakoiri.audit.told_file import read_told
from hakoiri.audit.writer import AuditLog
from hakoiri.garbage import pass_over_what_is_loaded
from hakoiri.host.adapters.audit_reader import AuditReader
from hakoiri.host.adapters.docker import DockerEngine
from hakoiri.host.adapters.http_server import Ends, serve_http
from hakoiri.host.adapters.object_store import open_object_store
from hakoiri.host.adapters.proxy_client import ProxyClient
from hakoiri.host.adapters.sql.database import Database, NewerDatabaseError, open_database
from hakoiri.host.adapters.sql.recovery_points import SqlRecoveryPoints
from hakoiri.host.api.application import create_app
from hakoiri.host.api.last_requests import LastRequests
from hakoiri.host.api.metrics import Figures
from hakoiri.host.api.stored_files import RecoveryPointFiles
from hakoiri.host.api.uploads import Uploads
from hakoiri.host.container_fleet import make_fleet
from hakoiri.host.container_keeping import Leaving, let_go, make_adoption, make_collector
from hakoiri.host.containers.box import Box, BoxError, read_box
from hakoiri.host.containers.capacity import Level
from hakoiri.host.containers.confinement_told import look_at_confinement
from hakoiri.host.containers.image_keeper import ImageKeeper
from hakoiri.host.containers.orchestrator import Orchestrator
from hakoiri.host.containers.ports import ContainersError
from hakoiri.host.containers.proxy_watch import ProxyWatch
from hakoiri.host.containers.user_namespace import tell_user_namespace
from hakoiri.host.conversations.keys import KeyRing
from hakoiri.host.conversations.ports import StoreError
from hakoiri.host.coordination.ports import Coordination, CoordinationError
from hakoiri.host.degradations import Degradations
from hakoiri.host.files.freed_memory import keep_freed_memory
from hakoiri.host.files.ports import FilesError
from hakoiri.host.fleet_sight import make_sight
from hakoiri.host.following import Following
from hakoiri.host.launch import ServerLaunch
from hakoiri.host.other_servers import OtherServers, make_other_servers
from hakoiri.host.own_environment import credential_variables
from hakoiri.host.probe_keeping import make_box_probe
from hakoiri.host.readiness import (
    Readiness,
    answers,
    audit_check,
    coordination_check,
    engine_check,
)
from hakoiri.host.services import Edges, Services, make_import, make_services, now
from hakoiri.host.settings import LOOPBACK_HOSTS, Settings
from hakoiri.host.store_keeping import make_collection
from hakoiri.host.store_urls import database_url, object_store_url
from hakoiri.host.telemetry.audit_log import audit_log
from hakoiri.host.telemetry.backup_metrics import BackupMetrics
from hakoiri.host.telemetry.exposition import merge
from hakoiri.host.telemetry.logging import configure_logging
from hakoiri.host.telemetry.metrics import ServerMetrics
from hakoiri.host.telemetry.ship_metrics import ShipMetrics
from hakoiri.host.telemetry.signing_metrics import SigningMetrics
from hakoiri.host.together import Together, make_together
from hakoiri.host.traced import traced, traces_of
from hakoiri.host.violation_keeping import tell_violations
from hakoiri.tracing.trace_metrics import TraceMetrics

USAGE_EXIT_CODE: Final = 2


class LaunchError(Exception):
    """The server cannot start as it is set up; the message names the setting and the mend."""


def main() -> None:
    """Read the launch from standard input, serve until SIGTERM."""
    try:
        refuse_credentials(os.environ)
        launch = ServerLaunch.model_validate_json(sys.stdin.buffer.read())
        configure_logging(launch.settings.log_level)
        keep_freed_memory()
        box = read_box(launch.settings, instance=launch.instance)
        uvloop.run(serve(launch, box))
    except (LaunchError, BoxError, NewerDatabaseError, ValidationError) as error:
        sys.stderr.write(f"hakoiri serve: {error}\n")
        sys.exit(USAGE_EXIT_CODE)
    except (AuditError, ContainersError, CoordinationError, StoreError, FilesError) as error:
        sys.stderr.write(f"hakoiri serve: {error}\n")
        sys.exit(1)


def refuse_credentials(environment: Mapping[str, str]) -> None:
    """Raise `LaunchError` if a variable that may hold a credential is set; never show its value."""
    if found := credential_variables(environment):
        raise LaunchError(
            f"the server must not hold credentials, but its environment has {', '.join(found)}; "
            "unset them here and put them in the proxy's own file (HAKOIRI_PROXY__ENV_FILE)"
        )


async def serve(launch: ServerLaunch, box: Box) -> None:
    """Wire everything, serve until SIGTERM, then end turns, containers and connections in order."""
    settings = launch.settings
    async with AsyncExitStack() as stack:
        tracing = await stack.enter_async_context(traced(launch))
        edges = Edges(
            engine=await stack.enter_async_context(DockerEngine(f"unix://{launch.guard_socket}")),
            proxy=await stack.enter_async_context(ProxyClient(launch.control_socket)),
            database=await stack.enter_async_context(_database(settings)),
            objects=open_object_store(object_store_url(settings), settings.object_store),
        )
        audit = stack.enter_context(audit_log(launch.audit_dir, goes_on=settings.audit.goes_on))
        image_id = await edges.engine.image_id(launch.image)
        await tell_user_namespace(edges.engine)
        metrics = ServerMetrics()
        if tracing is not None:
            metrics.watch(TraceMetrics(tracing.tally, prefix="hakoiri"))
        together = make_together(
            settings,
            instance=launch.instance,
            database=edges.database,
            metrics=metrics.coordination,
            clock=now,
        )
        fleet = make_fleet(
            box,
            engine=edges.engine,
            proxy=edges.proxy,
            claims=together.claims,
            pool_store=together.pool_store,
            image_id=image_id,
            metrics=metrics,
            audit=audit,
        )
        orchestrator = fleet.orchestrator
        sight = make_sight(
            settings,
            instance=launch.instance,
            fleet=fleet,
            engine=edges.engine,
            metrics=metrics,
        )
        shipping = _watch_files(launch, metrics)
        readiness = _readiness(settings, edges, audit, metrics, together.coordination)
        box_probe = make_box_probe(launch, box, fleet, edges, metrics=metrics, audit=audit)
        leaves = Leaving(launch)
        services = make_services(
            settings,
            edges,
            together.containers(orchestrator),
            metrics,
            audit,
            leaves=leaves,
            saved=sight.saved,
            together=together,
        )
        fleet.saves.by = services.owners.save
        # All that may refuse the start comes before the task group, which would wrap the error.
        require_keys = await must_require_keys(settings, services.keys)
        coordination = await stack.enter_async_context(together.coordination)
        others = _other_servers(launch, edges, together, orchestrator, services)
        if others is not None:
            await others.begin()
        await fleet.pool.load()
        adoption = make_adoption(
            orchestrator, fleet.lifecycle, together.claims, services.owners, services.chats
        )
        await adoption.run()
        stack.push_async_callback(let_go, orchestrator, leaves)
        keepers = await stack.enter_async_context(asyncio.TaskGroup())
        fleet.host_watch.step()  # so that the first claim finds what the host bears
        collector = make_collector(settings, orchestrator, fleet.lifecycle, services.chats, metrics)
        watch = ProxyWatch(proxy=edges.proxy, orchestrator=orchestrator)
        store_collection = make_collection(
            settings,
            store=edges.objects,
            live=SqlRecoveryPoints(edges.database),
            database=edges.database,
            metrics=metrics.collection,
            audit=audit,
            clock=now,
        )
        following = Following(
            fanout=coordination.fanout,
            feed=services.feed,
            execute=services.execute,
            orchestrator=orchestrator,
            owners=services.owners,
            pool=fleet.pool,
        )
        for name, keeping in (
            ("collector", collector.run()),
            ("image collection", ImageKeeper(engine=edges.engine, tell=metrics).run()),
            ("store collection", store_collection.run()),
            ("host watch", fleet.host_watch.run()),
            (
                "warm pool",
                fleet.keeper.run(
                    room=orchestrator.room,
                    is_short=lambda: orchestrator.admission.level >= Level.DRAIN,
                ),
            ),
            ("proxy watch", watch.run()),
            ("usage", sight.watch.run()),
            ("readiness", readiness.run()),
            ("violations", tell_violations(launch, edges.engine, orchestrator, metrics, audit)),
            *((("probe", box_probe.run()),) if settings.container.probe_at_start else ()),
        ):
            stack.callback(keepers.create_task(keeping, name=name).cancel)
        await stack.enter_async_context(services.workspaces.saver)
        await stack.enter_async_context(services.execute)
        await services.execute.take_up_unfinished()
        for name, keeping in following.keepings(others, every_s=settings.coordination.lease_s):
            stack.callback(keepers.create_task(keeping, name=name).cancel)
        confinement = await look_at_confinement(launch, edges.engine)
        degradations = Degradations(
            confinement=confinement,
            probe=lambda: box_probe.told,
            pool=lambda: fleet.pool.report().runtimes,
            memory=lambda: orchestrator.admission.level,
            # where new turns need it, it is a part that does not serve
            redis=coordination.failure if _goes_on_alone(settings) else lambda: None,
            shipping=shipping,
            is_tracing_failing=lambda: tracing is not None and tracing.tally.is_failing,
            wall_s=time.time,
        )
        requests = LastRequests()
        app = create_app(
            service=services.execute,
            conversations=services.conversations,
            keys=services.keys,
            policies=services.policies,
            files=RecoveryPointFiles(services.files),
            workspaces=services.workspaces,
            points=services.points,
            uploads=Uploads(settings.data_dir, limit_bytes=settings.files.file_limit_bytes),
            readiness=readiness.answers,
            degraded=degradations.found,
            imports=make_import(settings, services),
            git_imports=services.git_imports,
            collection=store_collection,
            box_probe=degradations.probe,
            confinement=confinement,
            pool=fleet.pool,
            figures=_figures(metrics, edges.proxy),
            workspace_figures=sight.workspace_page,
            usage_of=sight.usage_of,
            hindrance=lambda: audit.hindrance,
            find_audited=AuditReader(launch.audit_reader).find,
            require_keys=require_keys,
            requests=requests,
            traces=traces_of(tracing, settings.tracing),
        )
        ends = _ends(leaves, orchestrator, services, requests)
        pass_over_what_is_loaded()
        await serve_http(app, host=settings.host, port=settings.port, ends=ends)


def _ends(
    leaves: Leaving, orchestrator: Orchestrator, services: Services, requests: LastRequests
) -> Ends:
    """Return who is told what when the server ends."""

    def stopping() -> None:
        orchestrator.admission.close()
        services.feed.stop()

    def giving_up() -> None:
        services.workspaces.commands.stop()
        requests.refuse_unanswered()

    return Ends(
        leaving=leaves.ask,
        stopping=stopping,
        giving_up=giving_up,
        cutting_off=requests.cut_off,
    )


def _watch_files(
    launch: ServerLaunch, metrics: ServerMetrics
) -> Callable[[], ShipStatus | None] | None:
    """Show the figures that others leave in files; return how to read what the shipper tells."""
    metrics.watch(BackupMetrics(launch.settings.data_dir))
    if launch.keeper_status is not None:
        signing = partial(read_told, launch.keeper_status, KeeperStatus)
        metrics.watch(SigningMetrics(signing, wall_s=time.time))
    if launch.ship_status is None:
        return None
    shipping = partial(read_told, launch.ship_status, ShipStatus)
    metrics.watch(ShipMetrics(shipping, wall_s=time.time))
    return shipping


def _other_servers(
    launch: ServerLaunch,
    edges: Edges,
    together: Together,
    orchestrator: Orchestrator,
    services: Services,
) -> OtherServers | None:
    """Return what looks after other servers; None if there are none."""
    if together.shared_claims is None:
        return None
    return make_other_servers(
        instance=launch.instance,
        give_up_after_s=launch.settings.coordination.give_up_after_s,
        coordination=together.coordination,
        claims=together.shared_claims,
        database=edges.database,
        orchestrator=orchestrator,
        feed=services.feed,
        take_up_turns=services.execute.take_up_unfinished,
        now=now,
    )


async def must_require_keys(settings: Settings, keys: KeyRing) -> bool:
    """Whether requests need a key: as soon as there is one, and always off loopback.

    Raises `LaunchError` for an address that others can reach while there is no key.
    """
    there_are_keys = any(key.revoked_at is None for key in await keys.list_keys(tenant=None))
    if settings.host not in LOOPBACK_HOSTS and not there_are_keys:
        raise LaunchError(
            f"host {settings.host} can be reached by others, but there is no API key; make one "
            "with `hakoiri key create`, or listen on 127.0.0.1"
        )
    return there_are_keys


def _goes_on_alone(settings: Settings) -> bool:
    """Whether new turns begin while Redis is away."""
    return settings.coordination.when_away == "local"


def _readiness(
    settings: Settings,
    edges: Edges,
    audit: AuditLog,
    metrics: ServerMetrics,
    coordination: Coordination,
) -> Readiness:
    """Return what is behind `/ready`: each part that a turn needs."""
    needs_redis = coordination.is_shared and not _goes_on_alone(settings)
    return Readiness(
        checks={
            "proxy": edges.proxy.check,
            "audit": audit_check(audit),
            "engine": engine_check(edges.engine, runtimes=settings.container.allowed_runtimes),
            "database": answers(edges.database.check),
            "objects": answers(edges.objects.check),
            # only where new turns need it
            **({"coordination": coordination_check(coordination)} if needs_redis else {}),
        },
        metrics=metrics.health,
        clock=time.monotonic,
    )


def _figures(metrics: ServerMetrics, proxy: ProxyClient) -> Figures:
    """Return what `/metrics` tells: the server's figures, and the proxy's if it answers."""

    async def figures() -> str:
        proxys = await proxy.figures()
        # Thousands of lines may have to be looked at; requests go on meanwhile.
        return await asyncio.to_thread(merge, metrics.render(), proxys)

    return figures


@asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[Database]:
    database = await open_database(database_url(settings))
    try:
        yield database
    finally:
        await database.close()
