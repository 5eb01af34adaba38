"""How much of the budgets is used: of each limit the largest share that anybody has used.

Whose share it is, is no label: there may be thousands of tenants and workspaces. The control socket
tells it (`GET /budgets`).
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, get_args

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hakoiri.wire.budget_report import BudgetReport, BudgetUse
from hakoiri.wire.proxy import METRICS_PREFIX

MICROUSD: Final = 1_000_000
HOLDERS: Final[tuple[str, ...]] = get_args(BudgetUse.model_fields["kind"].annotation)


class BudgetMetrics(Collector):
    """Reads the ledger; changes nothing."""

    def __init__(self, report: Callable[[], BudgetReport]) -> None:
        """`report` gives the holders that used most, a bounded number."""
        self._report = report

    def collect(self) -> Iterable[Metric]:
        """Yield the families; a limit that nobody has is not told."""
        report = self._report()
        family = GaugeMetricFamily(
            f"{METRICS_PREFIX}_budget_used_ratio",
            "The largest part that a holder has used of this limit, 1 if all of it.",
            labels=["holder", "limit"],
        )
        largest: dict[tuple[str, str], float] = {}
        for use in report.holders:
            for limit, ratio in shares_of(use):
                key = (use.kind, limit)
                largest[key] = max(ratio, largest.get(key, 0.0))
        for (holder, limit), ratio in sorted(largest.items()):
            family.add_metric([holder, limit], ratio)
        yield family
        yield GaugeMetricFamily(
            f"{METRICS_PREFIX}_budget_faulty",
            "1 if what was used cannot be written down.",
            value=int(bool(report.fault)),
        )


def shares_of(use: BudgetUse) -> Iterator[tuple[str, float]]:
    """Yield each limit of the day or month that the holder has, and the part that is used."""
    budget = use.budget
    for name, used, limit in (
        ("bytes_up", use.bytes_up, budget.bytes_up_per_day),
        ("bytes_down", use.bytes_down, budget.bytes_down_per_day),
        ("model_tokens", use.model_tokens, budget.model_tokens_per_day),
        ("spend_day", use.spend_microusd / MICROUSD, budget.spend_usd_per_day),
        ("spend_month", use.month_spend_microusd / MICROUSD, budget.spend_usd_per_month),
    ):
        if limit is not None:
            yield name, used / limit if limit else 1.0
