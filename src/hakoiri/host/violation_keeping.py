"""Whose processes the system-call filter killed: told in the log, the audit log and a metric."""

import time

import structlog

from hakoiri.audit.writer import AuditLog
from hakoiri.host.adapters.kernel_log import KernelLog
from hakoiri.host.containers.orchestrator import Orchestrator
from hakoiri.host.containers.ports import ContainerEngine
from hakoiri.host.containers.violation_watch import (
    ContainerOwners,
    ViolationAudit,
    ViolationCount,
    ViolationLog,
    watch_violations,
)
from hakoiri.host.launch import ServerLaunch
from hakoiri.host.telemetry.metrics import ServerMetrics

log = structlog.get_logger(__name__)


async def tell_violations(
    launch: ServerLaunch,
    engine: ContainerEngine,
    orchestrator: Orchestrator,
    metrics: ServerMetrics,
    audit: AuditLog,
) -> None:
    """Log and count calls for which the filter killed a process, where the kernel's log tells."""
    if launch.kernel_log is None:
        log.warning("no_kernel_log", effect="killed system calls are not told")
        return
    await watch_violations(
        KernelLog(launch.kernel_log),
        owners=ContainerOwners(
            engine=engine,
            instance=launch.instance,
            workspace_in=orchestrator.workspace_in,
        ),
        sinks=[
            ViolationLog(clock=time.monotonic),
            ViolationAudit(audit, clock=time.monotonic),
            ViolationCount(metrics.system_call_killed),
        ],
    )
