"""Puts the look at a box together: what of it is known out here, and where it is told."""

from hakoiri.audit.writer import AuditLog
from hakoiri.host.adapters.own_namespaces import read_own_namespaces
from hakoiri.host.container_fleet import Fleet
from hakoiri.host.containers.box import Box
from hakoiri.host.containers.box_probe import BoxProbe, SeenFromOutside
from hakoiri.host.containers.confinement import label_of_a_box
from hakoiri.host.containers.confinement_told import EngineOptions
from hakoiri.host.launch import AppArmorKnown, ServerLaunch
from hakoiri.host.services import Edges
from hakoiri.host.telemetry.metrics import ServerMetrics


async def see_from_outside(
    box: Box, engine: EngineOptions, *, kernel: AppArmorKnown
) -> SeenFromOutside:
    """Return what a box of this server is held against. Raises `EngineError`."""
    return SeenFromOutside(
        namespaces=read_own_namespaces(),
        apparmor=label_of_a_box(
            profile=box.settings.container.apparmor_profile,
            kernel=kernel,
            engine_options=await engine.security_options(),
        ),
        limits=box.limits(),
    )


def make_box_probe(
    launch: ServerLaunch,
    box: Box,
    fleet: Fleet,
    edges: Edges,
    *,
    metrics: ServerMetrics,
    audit: AuditLog,
) -> BoxProbe:
    """Return what looks at a box of each runtime that a container of this server can get."""
    return BoxProbe(
        lifecycle=fleet.lifecycle,
        runtimes=launch.settings.container.allowed_runtimes,
        outside=lambda: see_from_outside(box, edges.engine, kernel=launch.apparmor),
        tally=metrics.probe,
        audit=audit,
    )
