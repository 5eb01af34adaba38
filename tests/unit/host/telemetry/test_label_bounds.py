"""No label can grow without bound: each has a closed set, or a bound that is held here.

The page is filled by whoever can choose a label's text, far beyond any bound. A new label that is
not in the table fails: give it a closed set, or a bound and what holds it.
"""

from collections import defaultdict
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from tests.unit.credential_proxy.metrics.test_budget_metrics import BUDGETS
from tests.unit.credential_proxy.metrics.test_state_metrics import Parts

from hakoiri.audit.keeper_status import CHAINS_LIMIT, ChainSigned, KeeperStatus
from hakoiri.audit.shipping.configuration import TARGETS_LIMIT
from hakoiri.audit.shipping.status import ShipStatus, TargetStatus
from hakoiri.credential_proxy.metrics.budget_metrics import BudgetMetrics
from hakoiri.credential_proxy.metrics.request_metrics import RequestMetrics
from hakoiri.host.files.quota import DiskUse, TreeUse
from hakoiri.host.telemetry.admission_metrics import REFUSALS
from hakoiri.host.telemetry.backup_metrics import BackupMetrics
from hakoiri.host.telemetry.exposition import merge
from hakoiri.host.telemetry.health_metrics import HostPressure
from hakoiri.host.telemetry.metrics import LOSSES, OTHER_REASON, REMOVALS, ServerMetrics
from hakoiri.host.telemetry.ship_metrics import ShipMetrics
from hakoiri.host.telemetry.signing_metrics import SigningMetrics
from hakoiri.host.usage.figures import CgroupFigures, Usage
from hakoiri.host.usage.metrics import UsageMetrics
from hakoiri.host.usage.watch import FleetUsage
from hakoiri.host.usage.workspace_metrics import TOLD_LIMIT, WorkspaceMetrics, WorkspaceUse
from hakoiri.tracing.tally import OUTCOMES, TraceTally
from hakoiri.tracing.trace_metrics import TraceMetrics
from hakoiri.wire.proxy import METRICS_PREFIX

pytestmark = pytest.mark.anyio

MANY = 3000

CLOSED: dict[str, set[str]] = {
    "result": {"result", "error", "ok", "failed", "given_up", *OUTCOMES},
    "reason": {*REMOVALS, *LOSSES, *REFUSALS, OTHER_REASON},
    "fault": {"none", "user", "service"},
    "start": {"live", "warm", "cold"},
    "kind": {"cold", "warm", "probe"},
    "state": {"starting", "warm", "busy", "idle", "paused", "retiring", "ready", "leaving"},
    "runtime": {"runc", "runsc"},
    "direction": {"save", "restore", "up", "down"},
    "part": {"engine", "proxy", "database", "objects", "audit", "coordination"},
    "what": {"live", "young", "waiting", "archived", "wasted"},
    "how": {"archived", "deleted"},
    "resource": {"cpu", "memory", "io", "pids"},
    "share": {"some", "full"},
    "quantile": {"0.5", "0.9", "1"},
}
"""What a label of the server may say."""

BOUNDS = {"workspace": 201, "le": 40, "target": TARGETS_LIMIT, "chain": CHAINS_LIMIT}
"""How many values a label of the server may have whose values are not known ahead."""

OF_THE_PROXY = frozenset(
    {"rule", "route", "decision", "status", "code", "phase", "direction", "where", "state"}
    | {"result", "source", "credential", "le", "holder", "limit"}
)
"""Bounded by the proxy's own tests; a new one belongs here only with such a test."""


def hostile_page(tmp_path: Path) -> str:
    """Return both pages after everybody who can choose a label's text has done so."""
    metrics = ServerMetrics()
    metrics.watch_containers(lambda: 1)
    metrics.watch_disks(lambda: (1, 1))
    metrics.watch_subscribers(lambda: 1)
    metrics.pool.watch(lambda: {("runc", "ready"): 1})
    metrics.containers.watch(lambda: {f"state-{number}": 1 for number in range(MANY)})
    metrics.sync.watch_unsaved(lambda: [1.0] * MANY)
    used = tuple(
        Usage(f"container-{number}", CgroupFigures(number, 1, 2, 3, 4, 5), 0, cpu_cores=1)
        for number in range(MANY)
    )
    metrics.watch(UsageMetrics(lambda: FleetUsage(used)))
    metrics.watch(HostPressure(data_dir=tmp_path))
    shipped = [TargetStatus(name=f"t{number}", kind="file") for number in range(TARGETS_LIMIT)]
    status = ShipStatus(told_at=0, targets=shipped)  # more cannot be told
    metrics.watch(ShipMetrics(lambda: status, wall_s=lambda: 1.0))
    signed = {f"c{number}": ChainSigned(signed_at=0) for number in range(CHAINS_LIMIT)}
    keeper = KeeperStatus(told_at=0, chains=signed)  # more cannot be told
    metrics.watch(SigningMetrics(lambda: keeper, wall_s=lambda: 1.0))
    metrics.watch(BackupMetrics(tmp_path))
    metrics.watch(TraceMetrics(TraceTally(queue_limit=1), prefix="hakoiri"))
    for number in range(MANY):
        metrics.system_call_killed(f"workspace-{number}")
        metrics.removed(f"reason-{number}")
        metrics.recovered(f"reason-{number}")
    requests = CollectorRegistry()
    requests.register(RequestMetrics())
    requests.register(BudgetMetrics(lambda: BUDGETS))
    requests.register(TraceMetrics(TraceTally(queue_limit=1), prefix=METRICS_PREFIX))
    proxys = (generate_latest(requests) + generate_latest(Parts(tmp_path).registry)).decode()
    return merge(metrics.render(), proxys)


def labels_of(page: str, *, proxys: bool) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for family in text_string_to_metric_families(page):
        if family.name.startswith("hakoiri_proxy_") is proxys:
            for sample in family.samples:
                for name, value in sample.labels.items():
                    found[name].add(value)
    return found


async def test_every_label_has_a_bound(tmp_path: Path) -> None:
    page = hostile_page(tmp_path)
    servers = labels_of(page, proxys=False)
    assert set(servers) <= {*CLOSED, *BOUNDS}, "a label without a bound"
    for name, values in servers.items():
        if name in CLOSED:
            assert values <= CLOSED[name], f"{name} says what is not in its closed set"
        else:
            assert len(values) <= BOUNDS[name], f"{name} grows"
    assert set(labels_of(page, proxys=True)) <= OF_THE_PROXY
    assert len(page.splitlines()) < 2000


def workspace_page() -> str:
    """Return the page of workspaces, where far more of them are in use than it tells."""
    figures = CgroupFigures(1, 2, 3, 4, 5, 6)
    disk = DiskUse(used_bytes=1, quota_bytes=2, used_inodes=1, quota_inodes=2)
    usage = Usage("c", figures, 0, cpu_cores=1, disk=TreeUse(workspace=disk, home=disk))
    uses = [
        WorkspaceUse(f"workspace-{number}", is_busy=True, usage=usage) for number in range(MANY)
    ]
    return WorkspaceMetrics(lambda: uses).render()


def test_the_page_of_workspaces_has_a_bound_too() -> None:
    labels = labels_of(workspace_page(), proxys=False)
    assert set(labels) == {"workspace", "disk"}
    assert len(labels["workspace"]) == TOLD_LIMIT
    assert labels["disk"] == {"workspace", "home"}


async def test_every_metric_follows_the_conventions(tmp_path: Path) -> None:
    for family in text_string_to_metric_families(hostile_page(tmp_path) + workspace_page()):
        if family.name.startswith(("process_", "python_")):
            continue
        assert family.name.startswith("hakoiri_")
        assert family.documentation
        assert not family.name.endswith(("_total", "_ms", "_mib", "_minutes", "_percent"))
        if family.type == "histogram":
            assert family.name.endswith("_seconds")
