"""What the proxy must reach, and how a round's numbers become a line of the table. No I/O."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table

Numbers = Mapping[str, float]
"""What one run of a loader, or one look at a process, gave."""

Rounds = Mapping[str, Sequence[Numbers]]
"""By who was measured: `ours`, `direct`, or a peer."""

_PERCENTILES = ("p50_ms", "p95_ms", "p99_ms")


@dataclass(frozen=True, slots=True)
class Line:
    """One line: what was wanted, what was measured, and whether it is enough.

    `is_met` is None for what could not be measured; `best_peer` says why.
    """

    work: str
    bar: str
    ours: str
    best_peer: str
    ratio: float | None
    is_met: bool | None


def median(rounds: Rounds, who: str, number: str) -> float:
    """Return the median over the rounds."""
    return statistics.median(numbers[number] for numbers in rounds[who])


def added(rounds: Rounds, who: str, number: str) -> float:
    """Return how much more `who` takes than direct, as the median of the rounds' differences."""
    pairs = zip(rounds[who], rounds["direct"], strict=True)
    return statistics.median(through[number] - direct[number] for through, direct in pairs)


def ratio_to(rounds: Rounds, peer: str, number: str) -> float:
    """Return ours over the peer's, as the median of the rounds' ratios: noise hits both alike."""
    pairs = zip(rounds["ours"], rounds[peer], strict=True)
    return statistics.median(ours[number] / theirs[number] for ours, theirs in pairs)


def latency_line(
    work: str, rounds: Rounds, *, p50_ms: float | None = None, p99_ms: float | None = None
) -> Line:
    """Compare what ours adds with bars, and with what the quickest peer adds."""
    bars = {"p50_ms": p50_ms, "p99_ms": p99_ms}
    wanted = {number: bar for number, bar in bars.items() if bar is not None}
    found = {number: added(rounds, "ours", number) for number in _PERCENTILES}
    is_met = all(found[number] <= bar for number, bar in wanted.items())
    bar = ", ".join(f"{number[:3]} +{bar:g}" for number, bar in wanted.items()) + " ms"
    ours = ", ".join(f"{number[:3]} {value:+.2f}" for number, value in found.items()) + " ms"
    peers = {who: added(rounds, who, "p50_ms") for who in _peers(rounds)}
    if not peers:
        return Line(work, bar, ours, "", None, is_met)
    best = min(peers, key=lambda who: peers[who])
    ratio = found["p50_ms"] / peers[best] if peers[best] > 0 else None
    return Line(work, bar, ours, f"{best} p50 {peers[best]:+.2f} ms", ratio, is_met)


def rate_line(
    work: str,
    rounds: Rounds,
    *,
    peer: str,
    least: float,
    missing: str = "",
    shape: Callable[[float], str] = "{:,.0f}/s".format,
) -> Line:
    """Compare ours with `peer`, which is `missing` for a reason if it is not among the rounds."""
    bar = f">= {least:g} x {peer}"
    ours = shape(median(rounds, "ours", "per_s"))
    if "p99_ms" in rounds["ours"][0]:
        percentiles = [f"{median(rounds, 'ours', number):.2f}" for number in _PERCENTILES]
        ours += f" (p50/95/99 {'/'.join(percentiles)} ms)"
    if peer not in rounds:
        return Line(work, bar, ours, f"{peer}: {missing}", None, None)
    theirs = f"{peer} {shape(median(rounds, peer, 'per_s'))}"
    best = max(_peers(rounds), key=lambda who: median(rounds, who, "per_s"))
    if best != peer:
        theirs += f"; best: {best} {shape(median(rounds, best, 'per_s'))}"
    ratio = ratio_to(rounds, peer, "per_s")
    return Line(work, bar, ours, theirs, ratio, ratio >= least)


def limit_line(work: str, value: float, *, limit: float, unit: str, note: str = "") -> Line:
    """Compare one number with its limit; `note` stands where a peer would."""
    return Line(work, f"<= {limit:g} {unit}", f"{value:.1f} {unit}", note, None, value <= limit)


def table_of(lines: Sequence[Line], *, title: str = "credential proxy") -> Table:
    """Return the lines for a person; the ratio is to the peer of the bar, else to the best."""
    table = Table(title=title, title_justify="left")
    for name in ("work", "bar", "ours", "peers", "ratio", ""):
        table.add_column(name)
    for line in lines:
        ratio = "" if line.ratio is None else f"{line.ratio:.2f}"
        verdict = {True: "pass", False: "MISS", None: "not measured" if line.bar else ""}
        table.add_row(line.work, line.bar, line.ours, line.best_peer, ratio, verdict[line.is_met])
    return table


def _peers(rounds: Rounds) -> list[str]:
    return [who for who in rounds if who not in ("ours", "direct")]
