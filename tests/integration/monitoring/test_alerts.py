"""The rules are sound, fire and stay silent as they should, and ask for figures that there are."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from tests.unit.credential_proxy.metrics.test_budget_metrics import BUDGETS
from tests.unit.credential_proxy.metrics.test_state_metrics import Parts

from hakoiri.credential_proxy.metrics.budget_metrics import BudgetMetrics
from hakoiri.credential_proxy.metrics.request_metrics import RequestMetrics
from hakoiri.host.telemetry.backup_metrics import BackupMetrics
from hakoiri.host.telemetry.exposition import merge
from hakoiri.host.telemetry.health_metrics import HostPressure
from hakoiri.host.telemetry.metrics import ServerMetrics
from hakoiri.host.telemetry.ship_metrics import ShipMetrics
from hakoiri.host.telemetry.signing_metrics import SigningMetrics
from hakoiri.host.usage.metrics import UsageMetrics
from hakoiri.host.usage.watch import FleetUsage
from hakoiri.tracing.tally import TraceTally
from hakoiri.tracing.trace_metrics import TraceMetrics
from hakoiri.wire.proxy import METRICS_PREFIX

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[3]
MONITORING = ROOT / "deployment/monitoring/prometheus"
RULES = sorted((MONITORING / "alerts").glob("*.yml"))
CASES = sorted(Path(__file__).parent.glob("*_test.yml"))
GUIDE = (ROOT / "docs/operations/monitoring-guide.md").read_text()
PROMTOOL = shutil.which("promtool") or str(ROOT / "build/tools/promtool")
METRIC = re.compile(r"\bhakoiri_[a-z0-9_]+")
SUFFIXES = ("_total", "_bucket", "_count", "_sum")


def rules() -> list[dict[str, str]]:
    return [
        rule
        for file in RULES
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
    ]


ALERTS = [rule["alert"] for rule in rules() if "alert" in rule]


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "rules", *RULES),
        ("check", "config", MONITORING / "prometheus.yml"),
        ("test", "rules", *CASES),
    ],
)
def test_promtool_agrees(arguments: tuple[str | Path, ...]) -> None:
    done = subprocess.run(
        [PROMTOOL, *map(str, arguments)],
        cwd=Path(__file__).parent,
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_is_seen_to_fire_and_to_stay_silent(alert: str) -> None:
    cases = [
        case
        for file in CASES
        for test in yaml.safe_load(file.read_text())["tests"]
        for case in test["alert_rule_test"]
        if case["alertname"] == alert
    ]
    assert {bool(case["exp_alerts"]) for case in cases} == {False, True}


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_has_a_section_of_the_guide(alert: str) -> None:
    assert f"### {alert}\n" in GUIDE


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_what_the_rules_ask_for_is_told(tmp_path: Path) -> None:
    server = ServerMetrics()
    server.watch_containers(lambda: 0)
    server.watch_disks(lambda: (0, 0))
    server.containers.watch(dict)
    server.sync.watch_unsaved(list)
    server.watch(UsageMetrics(FleetUsage))
    server.watch(HostPressure(data_dir=tmp_path))
    server.watch(ShipMetrics(lambda: None, wall_s=lambda: 0.0))
    server.watch(SigningMetrics(lambda: None, wall_s=lambda: 0.0))
    server.watch(BackupMetrics(tmp_path))
    server.pool.watch(lambda: {("runc", "ready"): 1})
    server.admission.watch_line(lambda: 0)
    server.admission.watch_slots(lambda: {"free": 1}, shortage=lambda: 0)
    server.coordination.watch(lambda: True)
    server.watch(TraceMetrics(TraceTally(queue_limit=1), prefix="hakoiri"))
    requests = CollectorRegistry()
    requests.register(TraceMetrics(TraceTally(queue_limit=1), prefix=METRICS_PREFIX))
    requests.register(RequestMetrics())
    requests.register(BudgetMetrics(lambda: BUDGETS))
    proxys = (generate_latest(requests) + generate_latest(Parts(tmp_path).registry)).decode()
    page = merge(server.render(), proxys)
    told = {family.name for family in text_string_to_metric_families(page)}
    asked = {name for rule in rules() for name in METRIC.findall(rule["expr"])}
    plain = {
        next((name.removesuffix(end) for end in SUFFIXES if name.endswith(end)), name)
        for name in asked
    }
    assert plain - told == set()
    assert len(plain) > 12
