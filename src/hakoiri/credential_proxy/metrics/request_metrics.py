"""Figures of requests, by the policy's rule.

Plain numbers, put into Prometheus's form when they are asked for: the library's own counters and
histograms cost 0.4 and 1 microsecond each time, of which a request needs eight.
"""

from bisect import bisect_left
from collections.abc import Iterable
from typing import Final

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from hakoiri.credential_proxy.decision import Route
from hakoiri.credential_proxy.metrics.codes import OTHER
from hakoiri.credential_proxy.metrics.observation import PHASES, Observation, StatusClass
from hakoiri.credential_proxy.metrics.rule_labels import RuleLabels
from hakoiri.wire.proxy import METRICS_PREFIX

_PREFIX: Final = METRICS_PREFIX + "_"
NO_RULE: Final = "(none)"
"""The rule of requests on which none had a say; no host's name has parentheses."""

BOUNDS_MS: Final = (0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 1000, 5000, 30_000)
TUNNEL_BOUNDS_MS: Final = (100, 1000, 10_000, 60_000, 600_000, 3_600_000)


class _Histogram:
    """Times in milliseconds; the last count is of those above all bounds."""

    __slots__ = ("bounds", "counts", "sum_ms")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum_ms = 0.0

    def add(self, time_ms: float) -> None:
        self.counts[bisect_left(self.bounds, time_ms)] += 1
        self.sum_ms += time_ms

    def put_into(self, family: HistogramMetricFamily, labels: list[str]) -> None:
        """Add it in seconds, its counts summed up; nothing of what was never counted."""
        if not any(self.counts):
            return
        buckets, below = [], 0
        for bound_ms, count in zip(self.bounds, self.counts, strict=False):
            below += count
            buckets.append((f"{bound_ms / 1000:g}", float(below)))
        buckets.append(("+Inf", float(below + self.counts[-1])))
        family.add_metric(labels, buckets, self.sum_ms / 1000)


class _OfRule:
    """The figures of one rule."""

    __slots__ = ("bytes_down", "bytes_up", "phases", "requests", "times", "tunnel_times")

    def __init__(self) -> None:
        self.requests: dict[tuple[Route | None, bool, StatusClass], int] = {}
        self.phases = tuple(_Histogram(BOUNDS_MS) for _ in PHASES)
        self.times = _Histogram(BOUNDS_MS)
        self.tunnel_times = _Histogram(TUNNEL_BOUNDS_MS)
        self.bytes_up = 0
        self.bytes_down = 0


class RequestMetrics(Collector):
    """Counts requests once they are over. Not for several threads at once."""

    def __init__(self, *, labels: RuleLabels | None = None) -> None:
        self._labels = labels or RuleLabels()
        self._others = _OfRule()
        self._rules: dict[str | None, _OfRule] = {None: _OfRule()}
        self._refusals: dict[str, int] = {}
        self._failures: dict[str, int] = {}
        self._scrubbed_headers = 0
        self._scrubbed_bodies = 0

    def count(self, seen: Observation, *, tenant: str | None) -> None:
        """Count one request of `tenant`."""
        rule = self._rules.get(seen.rule) or self._of_new_rule(seen.rule, tenant)
        key = (seen.route, seen.is_allowed, seen.status)
        rule.requests[key] = rule.requests.get(key, 0) + 1
        for histogram, time_ms in zip(rule.phases, seen.phases_ms, strict=True):
            if time_ms is not None:
                histogram.add(time_ms)
        (rule.tunnel_times if seen.is_tunnel else rule.times).add(seen.total_ms)
        rule.bytes_up += seen.bytes_up
        rule.bytes_down += seen.bytes_down
        code = seen.code
        if code is not None:
            ended = self._failures if seen.is_allowed else self._refusals
            ended[code] = ended.get(code, 0) + 1
        self._scrubbed_headers += seen.scrubbed_headers
        self._scrubbed_bodies += seen.scrubbed_body

    def _of_new_rule(self, rule: str | None, tenant: str | None) -> _OfRule:
        if not self._labels.admit(tenant):
            return self._others
        figures = self._rules[rule] = _OfRule()
        return figures

    def collect(self) -> Iterable[Metric]:
        """Give the figures as they are now."""
        rules = [(rule or NO_RULE, figures) for rule, figures in self._rules.items()]
        rules.append((OTHER, self._others))
        yield _requests(rules)
        yield _bytes(rules)
        yield from _times(rules)
        yield _by_code(
            "refusals", "Requests that were refused, by the refusal's code.", self._refusals
        )
        yield _by_code(
            "failures",
            "Requests that were let through and did not end as they should, by the failure's code.",
            self._failures,
        )
        scrubbed = CounterMetricFamily(
            _PREFIX + "scrubbed_secrets",
            "Secrets that were taken out of upstreams' answers.",
            labels=["where"],
        )
        scrubbed.add_metric(["header"], self._scrubbed_headers)
        scrubbed.add_metric(["body"], self._scrubbed_bodies)
        yield scrubbed


_Rules = list[tuple[str, _OfRule]]


def _requests(rules: _Rules) -> Metric:
    family = CounterMetricFamily(
        _PREFIX + "requests",
        "Requests and tunnels that are over, by the policy's rule, the way out, what was decided,"
        " and the answer's status.",
        labels=["rule", "route", "decision", "status"],
    )
    for rule, figures in rules:
        for (route, is_allowed, status), count in figures.requests.items():
            decision = "allowed" if is_allowed else "refused"
            family.add_metric([rule, route or NO_RULE, decision, status], count)
    return family


def _bytes(rules: _Rules) -> Metric:
    family = CounterMetricFamily(
        _PREFIX + "transferred_bytes",
        "Bytes of bodies and tunnels: up to the upstream, down to the container.",
        labels=["rule", "direction"],
    )
    for rule, figures in rules:
        family.add_metric([rule, "up"], figures.bytes_up)
        family.add_metric([rule, "down"], figures.bytes_down)
    return family


def _times(rules: _Rules) -> Iterable[Metric]:
    phases = HistogramMetricFamily(
        _PREFIX + "request_phase_seconds",
        "What requests waited for: a free connection, the name, the connection, TLS, the"
        " credential, and the answer's head since it was sent for (the first four included).",
        labels=["rule", "phase"],
    )
    times = HistogramMetricFamily(
        _PREFIX + "request_seconds",
        "Whole requests, from the head to the answer's end.",
        labels=["rule"],
    )
    tunnels = HistogramMetricFamily(
        _PREFIX + "tunnel_seconds",
        "Tunnels, WebSockets and intercepted connections, from the head to their end.",
        labels=["rule"],
    )
    for rule, figures in rules:
        for phase, histogram in zip(PHASES, figures.phases, strict=True):
            histogram.put_into(phases, [rule, phase])
        figures.times.put_into(times, [rule])
        figures.tunnel_times.put_into(tunnels, [rule])
    yield phases
    yield times
    yield tunnels


def _by_code(name: str, text: str, counts: dict[str, int]) -> Metric:
    family = CounterMetricFamily(_PREFIX + name, text, labels=["code"])
    for code, count in counts.items():
        family.add_metric([code], count)
    return family
