"""Each figure that is told has an alert, or a stated reason why nobody is woken by it.

What is told is what the dashboards show (`tests/e2e/test_dashboards.py` holds that they show all).
A new figure fails here until it is given a rule or a place below.
"""

import re
from pathlib import Path

import yaml
from deployment.monitoring.dashboards.__main__ import DASHBOARDS

ALERTS = Path(__file__).parents[3] / "deployment/monitoring/prometheus/alerts"
METRIC = re.compile(r"\bhakoiri_[a-z0-9_]+")
SUFFIXES = ("_total", "_bucket", "_count", "_sum")

OF_FAULTS = {
    "hakoiri_audit_ship_failures": "a failed step is tried again; HakoiriAuditNotShipped tells "
    "when that does not help",
    "hakoiri_audit_ship_waiting_bytes": "how much, where HakoiriAuditNotShipped tells how long",
    "hakoiri_containers_near_limit": "a limit does its work; HakoiriContainersOutOfMemory tells "
    "of those who met it",
    "hakoiri_part_check_seconds": "a part that is slow is not down; one that takes over 8 s is, "
    "and HakoiriPartDown tells",
    "hakoiri_proxy_credential_refresh_failures": "a failed question is asked again while the old "
    "secret is good; HakoiriCredentialFaulty tells when it is not",
    "hakoiri_proxy_refusals": "the policy does its work; who tries is told to nobody at night but "
    "is on the dashboard of security and in the audit log",
    "hakoiri_queue_wait_seconds": "HakoiriQueueLong, HakoiriClaimsRefused and the goal for claims "
    "tell of the same wait",
    "hakoiri_store_expired_points": "retention does its work",
    "hakoiri_turns": "the same turns are in turn_ends, by whose fault, which the goals watch",
    "hakoiri_workspace_oom_kills": "the fleet's sum, HakoiriContainersOutOfMemory",
    "hakoiri_workspaces_unsaved": "in use is no fault; HakoiriRecoveryPointOld and "
    "HakoiriFilesUnsaved tell of those that cannot be saved",
}
"""Names a failure or something that is short, and has no rule of its own: why."""

OF_WORK = {
    "how much is done, by whom and how fast: what is too slow or fails has figures of its own": {
        *("audit_ship_bytes", "claims", "container_slots", "containers", "containers_live"),
        *("containers_paused", "event_subscribers", "file_sync_bytes", "file_sync_files"),
        *("images_collected", "store_collected_bytes", "warm_containers", "workspace_busy"),
        *("proxy_requests_open", "proxy_sockets", "proxy_transferred_bytes", "proxy_tunnels_open"),
        *("trace_spans_waiting", "proxy_trace_spans_waiting", "workspaces_not_told"),
    },
    "what containers and our own processes use: the host's own pressure, memory and disk, and each "
    "container's limits, are what can be short": {
        *("container_cpu_cores", "container_disk_bytes", "container_memory_bytes"),
        *("container_pids", "containers_cpu_seconds", "containers_memory_bytes", "containers_pids"),
        *("workspace_cpu_seconds", "workspace_disk_bytes", "workspace_disk_quota_bytes"),
        *("workspace_disk_used_bytes", "workspace_memory_bytes", "workspace_memory_limit_bytes"),
        *("workspace_pids", "workspace_pids_limit", "proxy_process_cpu_seconds"),
        *("proxy_process_open_fds", "proxy_process_resident_memory_bytes"),
    },
    "as long as the model, the agent's own work or the size of its files makes it": {
        *("file_sync_seconds", "proxy_request_seconds", "proxy_tunnel_seconds"),
        *("turn_first_event_seconds", "turn_seconds"),
    },
    "caches and kept connections: at worst something is made anew": {
        *("proxy_dns_cache_entries", "proxy_dns_questions", "proxy_leaf_cache_entries"),
        *("proxy_leaf_cache_hits", "proxy_leaf_certificates_made", "proxy_upstream_connections"),
        *("proxy_upstream_connections_evicted", "proxy_upstream_connections_opened"),
        *("proxy_upstream_connections_reused",),
    },
}
"""Names no failure: nobody is to be woken by it, and why (without `hakoiri_`)."""

FAULTY = re.compile(
    r"fail|fault|error|lost|missed|missing|dropped|refus|exhaust|unsaved|violation|oom|stray|"
    r"_up$|near|full|short|behind|age_seconds"
)
"""Words by which a name says that something is wrong."""


def plain(name: str) -> str:
    return next((name.removesuffix(end) for end in SUFFIXES if name.endswith(end)), name)


def told() -> set[str]:
    queries = [query for one in DASHBOARDS for panel in one.panels for query in panel.queries]
    return {plain(name) for query in queries for name in METRIC.findall(query.expr)}


def watched() -> set[str]:
    return {
        plain(name)
        for file in ALERTS.glob("*.yml")
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
        for name in METRIC.findall(rule["expr"])
    }


def of_work() -> set[str]:
    return {f"hakoiri_{name}" for names in OF_WORK.values() for name in names}


def test_each_figure_is_watched_or_has_a_reason_why_not() -> None:
    assert told() - watched() - set(OF_FAULTS) - of_work() == set()
    assert len(told()) > 100


def test_a_reason_is_only_for_what_is_told_and_not_watched() -> None:
    argued = [*OF_FAULTS, *of_work()]
    assert len(argued) == len(set(argued))
    assert set(argued) - told() == set()
    assert set(argued) & watched() == set()


def test_what_is_watched_is_told() -> None:
    assert watched() - told() == set()


def test_what_names_a_fault_is_argued_one_by_one() -> None:
    assert {name for name in of_work() if FAULTY.search(name)} == set()
