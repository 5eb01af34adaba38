"""Every query of every dashboard, asked of a real Prometheus that watched a real run."""

import os
import pwd
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from deployment.monitoring.dashboards.__main__ import DASHBOARDS
from deployment.monitoring.dashboards.model import Query
from tests import waiting
from tests.conftest import give_up
from tests.e2e.running import Hakoiri, prepare
from tests.e2e.scripts import RUN
from tests.engine import TestEngine
from tests.prometheus_server import Prometheus, numbers, prometheus
from tests.trace_receiver import TraceReceiver, trace_receiver

from hakoiri.cli.demo.server_process import free_port

pytestmark = [pytest.mark.engine, pytest.mark.root]

WAIT_S = 90.0
until = partial(waiting.until, wait_s=WAIT_S)
LOOKS = 3
"""Of Prometheus between two things that happen: two tell a growth, the third lets rules see it."""

QUERIES = {
    f"{dashboard.uid}: {row.title}: {panel.title}: {query.legend}": query
    for dashboard in DASHBOARDS
    for row in dashboard.rows
    for panel in row.panels
    for query in panel.queries
}
ABSENT = {
    "hakoiri_coordination_up": "told only where there is a Redis",
    "hakoiri_coordination_errors_total": "told only where there is a Redis",
    "hakoiri:proxy_queue_seconds:p99_10m": "told only once a request waited for a connection",
    "hakoiri_host_pressure_seconds_total": "told only where the kernel has it",
}
"""What this run cannot have, and why; the panels show 0 or nothing instead."""

BUDGETS = """
[prices."*"]
input = 1
output = 1
cache_write = 1
cache_read = 1

[budgets.installation]
spend_usd_per_day = 1000
model_tokens_per_day = 1_000_000_000

[network]
allow_addresses = ["127.0.0.1:{port}"]

[network.hosts]
"away.example.test" = "127.0.0.1"
"""
KILLED = """
import ctypes, os, time
for _ in range(4):
    if os.fork() == 0:
        ctypes.CDLL(None).mount(b"x", b"/x", b"tmpfs", 0, None)
        os._exit(0)
    time.sleep(1)
"""
METRIC = re.compile(r"\b(?:hakoiri|process)[_:][a-z0-9_:]+")
SUFFIXES = ("_total", "_bucket", "_count", "_sum")


@dataclass(frozen=True, slots=True)
class Watched:
    """A run that is over, and what Prometheus saw of it between two times."""

    prometheus: Prometheus
    workspace: str
    since_s: float
    until_s: float

    def filled(self, expr: str) -> str:
        """Put in what Grafana would."""
        length = f"{int(self.until_s - self.since_s)}s"
        for name, value in (
            ("$__rate_interval", "15s"),
            ("$__range", length),
            ("$instance", ".+"),
            ("$workspace", self.workspace),
        ):
            expr = expr.replace(name, value)
        assert "$" not in expr
        return expr


def let_look(prometheus: Prometheus) -> None:
    """Wait until Prometheus has looked at all targets so often again."""
    for _ in range(LOOKS):
        began_s = time.time()

        def has_looked(began_s: float = began_s) -> bool:
            # a look that had no answer in time is none
            looks = prometheus.ask("query", query="min(timestamp(up)) and min(up) == 1")["result"]
            return bool(looks) and float(looks[0]["value"][1]) > began_s

        until(has_looked, "another look of Prometheus")


def use(server: Hakoiri, port: int, prometheus: Prometheus) -> str:
    """Let a run have a bit of all; return a workspace that was used."""
    policy = server.api.call("GET", "/v1/policies/default")
    policy["rules"] = [{"host": "away.example.test", "ports": [port]}]
    server.api.call("PUT", "/v1/policies/default", policy)
    first, second, third = (server.conversation() for _ in range(3))
    held = [
        threading.Thread(target=server.turn, args=(one, f"run: sleep 5; python3 -c '{program}'"))
        for one, program in ((first, KILLED), (second, "pass"))
    ]
    for thread in held:
        thread.start()
    until(lambda: _busy(server) == 2, "two turns")
    server.turn(third, "run: curl -s http://evil.example.test/; echo made > file")  # it waits
    for thread in held:
        thread.join(WAIT_S)
    let_look(prometheus)
    for other in ("evil.example.test", "169.254.169.254"):
        server.turn(
            first,
            f"run: curl -s http://{other}/; curl -s https://away.example.test:{port}/; date > file",
        )
        let_look(prometheus)
    server.api.call("POST", "/v1/collection", {"dry_run": False})
    found: str = server.api.call("GET", f"/v1/conversations/{first}")["workspace_id"]
    return found


def _busy(server: Hakoiri) -> float:
    page = server.api.download("/metrics").decode()
    (line,) = re.findall(r'^hakoiri_containers\{state="busy"\} (.+)$', page, re.MULTILINE)
    return float(line)


@pytest.fixture(scope="module")
def collector() -> Iterator[TraceReceiver]:
    with trace_receiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def watched(
    engine: TestEngine,
    image: str,
    collector: TraceReceiver,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Watched]:
    try:
        os.close(os.open("/dev/kmsg", os.O_RDONLY))
    except OSError:
        give_up("the kernel's log cannot be read here")
    root = tmp_path_factory.mktemp("dashboards")
    made = prepare(
        root,
        docker_host=engine.docker_host,
        script=RUN,
        settings={
            "HAKOIRI_CONTAINER__IMAGE": image,
            "HAKOIRI_CONTAINER__RUNTIME": "runc",  # of gVisor's the kernel records no violations
            "HAKOIRI_CONTAINER__PROBE_AT_START": "true",
            "HAKOIRI_CONTAINER__LIMIT": "2",
            "HAKOIRI_WARM_POOL__MIN": "1",
            "HAKOIRI_WARM_POOL__MAX": "1",
            "HAKOIRI_AUDIT__SHIP_FILE": str(ship_file(root)),
            "HAKOIRI_TRACING__ENDPOINT": collector.endpoint,
            "HAKOIRI_TRACING__INTERVAL_S": "0.5",
        },
    )
    port = free_port()
    (root / "proxy" / "proxy.toml").write_text(BUDGETS.format(port=port))
    with made.server, prometheus(root, target=f"127.0.0.1:{made.server.port}") as seen:
        since_s = time.time()
        workspace = use(made, port, seen)
        until(lambda: seen.ask("query", query="hakoiri_container_cpu_cores")["result"], "two looks")
        let_look(seen)
        yield Watched(seen, workspace, since_s, time.time())


def ship_file(root: Path) -> Path:
    """Return a file by which the audit log is copied to a directory."""
    share = root / "share"
    share.mkdir()
    account = pwd.getpwnam("hakoiri-shipper")
    os.chown(share, account.pw_uid, account.pw_gid)
    path = root / "own" / "ship.toml"
    path.parent.mkdir()
    path.write_text(f'[[target]]\nname = "share"\nkind = "file"\ndirectory = "{share}"\n')
    path.chmod(0o600)
    return path


def is_absent(name: str) -> bool:
    if name == "hakoiri_host_pressure_seconds_total":
        return not Path("/proc/pressure").is_dir()
    return name in ABSENT


@pytest.mark.parametrize("query", [pytest.param(one, id=name) for name, one in QUERIES.items()])
def test_a_query_has_data(watched: Watched, query: Query) -> None:
    expr = watched.filled(query.expr)
    found = watched.prometheus.over_time(expr, since_s=watched.since_s, until_s=watched.until_s)
    if any(map(is_absent, METRIC.findall(expr))) and " or vector(0)" not in expr:
        assert found == []
        return
    assert numbers(found), f"no data: {expr}"
    for label in re.findall(r"\{\{(\w+)\}\}", query.legend):
        assert all(label in one["metric"] for one in found), f"{label} is no label of {expr}"


def test_what_can_be_chosen_is_there(watched: Watched) -> None:
    for variable in (one for dashboard in DASHBOARDS for one in dashboard.variables):
        found = watched.prometheus.ask(
            f"label/{variable.label}/values", **{"match[]": variable.metric}
        )
        assert found, variable.name
        assert variable.name != "workspace" or watched.workspace in found


def test_no_query_asks_for_what_nobody_tells(watched: Watched) -> None:
    there = watched.prometheus.names() | watched.prometheus.described()
    asked = {name for query in QUERIES.values() for name in METRIC.findall(query.expr)}
    plain = {
        name
        for name in asked
        if name not in there
        and not any(name.removesuffix(end) in there for end in SUFFIXES if name.endswith(end))
    }
    assert {name for name in plain if not is_absent(name)} == set()
    assert len(asked) > 60


def test_what_went_wrong_in_the_run_is_on_the_dashboards(watched: Watched) -> None:
    def last(expr: str) -> dict[str, float]:
        at = {"query": expr, "time": str(watched.until_s)}
        found = watched.prometheus.ask("query", **at)["result"]
        return {"".join(one["metric"].values()): float(one["value"][1]) for one in found}

    refused = last("sum by (code) (hakoiri_proxy_refusals_total)")
    assert refused["host-not-allowed"] >= 2
    assert last("sum by (code) (hakoiri_proxy_failures_total)")["upstream-unreachable"] >= 1
    assert sum(last("hakoiri_seccomp_violations_total").values()) >= 1
    firing = 'ALERTS{alertname="HakoiriSystemCallsKilled", alertstate="firing"}'
    seen = watched.prometheus.over_time(firing, since_s=watched.since_s, until_s=watched.until_s)
    assert numbers(seen), "the alert never fired"
    waited = last("hakoiri_queue_wait_seconds_sum")
    assert sum(waited.values()) > 0


def test_all_that_is_told_is_on_a_dashboard(watched: Watched) -> None:
    asked = {name for query in QUERIES.values() for name in METRIC.findall(query.expr)}
    shown = {
        next((name.removesuffix(end) for end in SUFFIXES if name.endswith(end)), name)
        for name in asked
    }
    told = {
        next((name.removesuffix(end) for end in SUFFIXES if name.endswith(end)), name)
        for name in watched.prometheus.described()
        if name.startswith("hakoiri_") and not name.endswith("_created")
        if "_process_" not in name and not is_absent(name)
    }
    assert told - shown == set()
