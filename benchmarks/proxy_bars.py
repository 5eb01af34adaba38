"""What the proxy must reach, and how a round's numbers become a line of the table. No I/O."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table

Numbers = Mapping[str, float]
"""What one run of the loader, or one look at a process, gave."""

Rounds = Mapping[str, Sequence[Numbers]]
"""By who was measured: `ours`, `direct`, or a peer."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line: what was wanted, what was measured, and whether it is enough."""

    work: str
    bar: str
    ours: str
    best_peer: str
    ratio: float | None
    is_met: bool


def median(rounds: Rounds, who: str, number: str) -> float:
    """Return the median over the rounds."""
    return statistics.median(numbers[number] for numbers in rounds[who])


def added(rounds: Rounds, number: str) -> float:
    """Return how much more ours takes than direct, as the median of the rounds' differences."""
    pairs = zip(rounds["ours"], rounds["direct"], strict=True)
    return statistics.median(ours[number] - direct[number] for ours, direct in pairs)


def latency_line(work: str, rounds: Rounds, *, p50_ms: float, p99_ms: float | None) -> Line:
    """Compare what ours adds with bars, and with what the quickest peer adds."""
    ours50, ours99 = added(rounds, "p50_ms"), added(rounds, "p99_ms")
    is_met = ours50 <= p50_ms and (p99_ms is None or ours99 <= p99_ms)
    bar = f"p50 +{p50_ms:g} ms" + (f", p99 +{p99_ms:g} ms" if p99_ms is not None else "")
    ours = f"p50 +{ours50:.2f}, p99 +{ours99:.2f} ms"
    return Line(work, bar, ours, *_best(rounds, "p50_ms", min, "{:.2f} ms"), is_met)


def rate_line(work: str, rounds: Rounds, *, peer: str, least: float) -> Line:
    """Compare requests a second with those of `peer`."""
    ratio = median(rounds, "ours", "per_s") / median(rounds, peer, "per_s")
    best, _ = _best(rounds, "per_s", max, "{:.0f}/s")
    ours = f"{median(rounds, 'ours', 'per_s'):.0f}/s"
    return Line(work, f">= {least:g} x {peer}", ours, best, ratio, ratio >= least)


def limit_line(work: str, value: float, *, limit: float, unit: str) -> Line:
    """Compare one number with its limit."""
    return Line(work, f"<= {limit:g} {unit}", f"{value:.1f} {unit}", "", None, value <= limit)


def table_of(lines: Sequence[Line]) -> Table:
    """Return the lines for a person."""
    table = Table(title="credential proxy", title_justify="left")
    for name in ("work", "bar", "ours", "best peer", "ratio", ""):
        table.add_column(name)
    for line in lines:
        ratio = "" if line.ratio is None else f"{line.ratio:.2f}"
        verdict = "pass" if line.is_met else "MISS"
        table.add_row(line.work, line.bar, line.ours, line.best_peer, ratio, verdict)
    return table


def _best(
    rounds: Rounds,
    number: str,
    better: Callable[..., float],
    shape: str,
) -> tuple[str, float | None]:
    peers = {who: median(rounds, who, number) for who in rounds if who not in ("ours", "direct")}
    if not peers:
        return "", None
    best = better(peers.values())
    name = next(who for who, value in peers.items() if value == best)
    return f"{name} {shape.format(best)}", median(rounds, "ours", number) / best
