"""What a dashboard is made of. Nothing here knows Grafana's JSON; that is `rendering`'s."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

Unit = Literal["none", "s", "bytes", "Bps", "ops", "percentunit", "bool_yes_no", "dateTimeFromNow"]
"""Grafana's own ids of units (`none`: a plain number)."""

Kind = Literal["timeseries", "stat", "bargauge"]
Size = Literal["small", "third", "half", "wide"]

INSTANCE: Final = 'instance=~"$instance"'
"""So each query looks at the servers that were chosen."""

RATE: Final = "$__rate_interval"
"""Grafana's: at least four scrapes."""

RANGE: Final = "$__range"
"""Grafana's: all that is shown."""


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL expression; `legend` names its series by their labels, as `{{label}}`."""

    expr: str
    legend: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture. `meaning` says what to make of it.

    A `stat` or `bargauge` is green below `warn`, and red from `bad` on; where `bad` is less than
    `warn`, the other way round. `stacked` piles a time series' lines up. `link` is a path of
    Grafana that a click leads to.
    """

    title: str
    meaning: str
    queries: Sequence[Query]
    unit: Unit = "none"
    kind: Kind = "timeseries"
    size: Size = "third"
    warn: float | None = None
    bad: float | None = None
    stacked: bool = False
    at_most: float | None = None
    link: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, slots=True)
class Variable:
    """What the reader chooses: a value of `label` among the series of `metric`."""

    name: str
    label: str
    metric: str
    title: str
    has_all: bool = False


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A page. `uid` is its file's name and its address in Grafana."""

    uid: str
    title: str
    description: str
    rows: Sequence[Row]
    variables: Sequence[Variable]

    @property
    def panels(self) -> list[Panel]:
        """All panels, in the order in which they are seen."""
        return [panel for row in self.rows for panel in row.panels]


INSTANCES: Final = Variable(
    name="instance",
    label="instance",
    metric='up{job="hakoiri"}',
    title="Server",
    has_all=True,
)


def of(metric: str, *matchers: str) -> str:
    """Return the selector of a metric of the chosen servers."""
    return f"{metric}{{{', '.join((INSTANCE, *matchers))}}}"


def total(metric: str, *matchers: str, by: str = "") -> str:
    """Return the sum of a figure over the chosen servers, by labels."""
    return _over("sum", of(metric, *matchers), by)


def largest(metric: str, *matchers: str, by: str = "") -> str:
    """Return the largest of the chosen servers' figures, by labels."""
    return _over("max", of(metric, *matchers), by)


def smallest(metric: str, *matchers: str) -> str:
    """Return the smallest of the chosen servers' figures."""
    return _over("min", of(metric, *matchers), "")


def per_second(metric: str, *matchers: str, by: str = "") -> str:
    """Return the rate of a counter, summed up by labels."""
    return _over("sum", f"rate({of(metric, *matchers)}[{RATE}])", by)


def grown(metric: str, *matchers: str, by: str = "", over: str = RANGE) -> str:
    """Return by how much a counter grew, summed up by labels."""
    return _over("sum", f"increase({of(metric, *matchers)}[{over}])", by)


def grown_from_nothing(metric: str, *matchers: str, by: str = "", over: str = RANGE) -> str:
    """Return the same of a counter that is told from its first event on only.

    `increase` takes the first value that it sees for the beginning, and would miss that event.
    """
    selector = of(metric, *matchers)
    new = f"({selector} unless {selector} offset {over})"
    return _over("sum", f"{new} or increase({selector}[{over}])", by)


def quantile(share: float, histogram: str, *matchers: str, by: str = "") -> str:
    """Return a quantile of a histogram, by labels."""
    labels = f"le, {by}" if by else "le"
    rate = f"rate({of(f'{histogram}_bucket', *matchers)}[{RATE}])"
    return f"histogram_quantile({share}, sum by ({labels}) ({rate}))"


def quantiles(histogram: str, *matchers: str) -> list[Query]:
    """Return the middle, the twentieth from the top and the hundredth from the top."""
    return [
        Query(quantile(share, histogram, *matchers), legend)
        for share, legend in ((0.5, "half of them"), (0.95, "95 %"), (0.99, "99 %"))
    ]


def or_none(expr: str) -> str:
    """Return the expression, 0 where there are no series: the event has never happened."""
    return f"{expr} or vector(0)"


def _over(aggregation: str, expr: str, by: str) -> str:
    return f"{aggregation} by ({by}) ({expr})" if by else f"{aggregation}({expr})"
