"""Figures of what the proxy holds: sockets, connections, caches, credentials; read when asked."""

from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hakoiri.audit.writer import AuditLog
from hakoiri.credential_proxy.container_socket import ContainerSocket
from hakoiri.credential_proxy.credentials.refreshed_value import RefreshTasks
from hakoiri.credential_proxy.dns_cache import DnsCache
from hakoiri.credential_proxy.in_force import InForce
from hakoiri.credential_proxy.interception.leaf_cache import LeafCache
from hakoiri.credential_proxy.upstream.client import UpstreamClient
from hakoiri.wire.proxy import METRICS_PREFIX

_PREFIX: Final = METRICS_PREFIX + "_"


class StateMetrics(Collector):
    """Reads the parts; changes nothing."""

    def __init__(
        self,
        *,
        sockets: Callable[[], Iterable[ContainerSocket]],
        client: UpstreamClient,
        dns_cache: DnsCache,
        leaves: LeafCache,
        in_force: InForce,
        tasks: RefreshTasks,
        audit: AuditLog,
    ) -> None:
        self._sockets = sockets
        self._client = client
        self._dns_cache = dns_cache
        self._leaves = leaves
        self._in_force = in_force
        self._tasks = tasks
        self._audit = audit

    def collect(self) -> Iterable[Metric]:
        """Give the figures as they are now."""
        yield from self._of_sockets()
        yield from self._of_upstreams()
        yield from self._of_dns()
        yield from self._of_leaves()
        yield from self._of_credentials()
        yield _gauge(
            "audit_faulty",
            "1 if what the proxy decides cannot be written to its audit log.",
            self._audit.failure is not None,
        )

    def _of_sockets(self) -> Iterable[Metric]:
        sockets = list(self._sockets())
        bound = sum(socket.binding is not None for socket in sockets)
        by_state = GaugeMetricFamily(
            _PREFIX + "sockets", "Containers' sockets that are open.", labels=["state"]
        )
        by_state.add_metric(["bound"], bound)
        by_state.add_metric(["unbound"], len(sockets) - bound)
        yield by_state
        requests = sum(socket.requests_open for socket in sockets)
        tunnels = sum(socket.tunnels_open for socket in sockets)
        yield _gauge("requests_open", "Requests that run now.", requests)
        yield _gauge("tunnels_open", "Tunnels and intercepted connections that stand now.", tunnels)

    def _of_upstreams(self) -> Iterable[Metric]:
        pool = self._client.figures
        by_state = GaugeMetricFamily(
            _PREFIX + "upstream_connections",
            "Connections to upstreams, without tunnels.",
            labels=["state"],
        )
        by_state.add_metric(["busy"], pool.open - pool.idle)
        by_state.add_metric(["idle"], pool.idle)
        yield by_state
        yield _counter("upstream_connections_opened", "Connections that were made.", pool.created)
        yield _counter(
            "upstream_connections_reused", "Requests sent on a kept connection.", pool.reused
        )
        yield _counter(
            "upstream_connections_evicted", "Kept connections that were closed.", pool.evicted
        )

    def _of_dns(self) -> Iterable[Metric]:
        figures = self._dns_cache.figures
        questions = CounterMetricFamily(
            _PREFIX + "dns_questions",
            "Names that were asked for: kept addresses, kept absence of them, another's question"
            " shared, or asked of the system's table and DNS.",
            labels=["result"],
        )
        questions.add_metric(["hit"], figures.hits)
        questions.add_metric(["negative_hit"], figures.negative_hits)
        questions.add_metric(["shared"], figures.shared)
        questions.add_metric(["miss"], figures.misses)
        yield questions
        answers = CounterMetricFamily(
            _PREFIX + "dns_answers",
            "What came of the misses: addresses, none, or no answer.",
            labels=["result"],
        )
        answers.add_metric(["addresses"], figures.found)
        answers.add_metric(["none"], figures.missing)
        answers.add_metric(["failed"], figures.failures)
        yield answers
        yield _gauge("dns_cache_entries", "Names that are kept.", len(self._dns_cache))

    def _of_leaves(self) -> Iterable[Metric]:
        leaves = self._leaves
        yield _counter(
            "leaf_certificates_made", "Certificates for intercepted hosts.", leaves.issued
        )
        yield _counter("leaf_cache_hits", "Interceptions with a kept certificate.", leaves.hits)
        yield _gauge("leaf_cache_entries", "Certificates that are kept.", len(leaves))

    def _of_credentials(self) -> Iterable[Metric]:
        failures = CounterMetricFamily(
            _PREFIX + "credential_refresh_failures",
            "Questions to a command or chain that failed, by its field in the proxy's file.",
            labels=["source"],
        )
        for name, count in self._tasks.failures.items():
            failures.add_metric([name], count)
        yield failures
        faulty = GaugeMetricFamily(
            _PREFIX + "credential_faulty",
            "1 if the credential's source was at fault when it was last used.",
            labels=["credential"],
        )
        for name, fault in self._in_force.keyring.faults().items():
            faulty.add_metric([name], fault is not None)
        yield faulty


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(_PREFIX + name, text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(_PREFIX + name, text, value=value)
