"""What file sync must reach beside its peers, and how samples become lines of the table. No I/O."""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence

from benchmarks.proxy_bars import Line

OURS = "ours"
SEPARATOR = ": "
"""Between what was measured and by whom."""

PROCESSOR = "processor time, "
"""Before what a contender's own processes used, the server's not counted."""


def lines_of(samples_ms: Mapping[str, Sequence[float]], bars: Mapping[str, float]) -> list[Line]:
    """Compare ours with the best peer in each work that has a bar, a round with its own."""
    return [_line(samples_ms, work, bar) for work, bar in bars.items() if _ours(samples_ms, work)]


def rounds_in_time(rounds: int, clock_s: Callable[[], float], *, time_s: float) -> Iterator[int]:
    """Count rounds from 0, the first always, until all are done or the next would end too late.

    A round is taken to last as long as the longest before it.
    """
    began_s = last_s = clock_s()
    longest_s = 0.0
    for number in range(rounds):
        if number and last_s - began_s + longest_s > time_s:
            return
        yield number
        now_s = clock_s()
        longest_s, last_s = max(longest_s, now_s - last_s), now_s


def _line(samples_ms: Mapping[str, Sequence[float]], work: str, bar: float) -> Line:
    ours = _ours(samples_ms, work)
    peers = {
        name.removeprefix(work + SEPARATOR): samples
        for name, samples in samples_ms.items()
        if name.startswith(work + SEPARATOR) and name != f"{work}{SEPARATOR}{OURS}"
    }
    said = _said(samples_ms, work, OURS)
    if not peers:
        return Line(work, f"<= {bar:g}", said, "no peer", None, None)
    best = min(peers, key=lambda name: statistics.median(peers[name]))
    ratio = statistics.median(mine / theirs for mine, theirs in zip(ours, peers[best], strict=True))
    return Line(
        work, f"<= {bar:g}", said, f"{best} {_said(samples_ms, work, best)}", ratio, ratio <= bar
    )


def _ours(samples_ms: Mapping[str, Sequence[float]], work: str) -> Sequence[float]:
    return samples_ms.get(f"{work}{SEPARATOR}{OURS}", ())


def _said(samples_ms: Mapping[str, Sequence[float]], work: str, who: str) -> str:
    name = f"{work}{SEPARATOR}{who}"
    said = f"{statistics.median(samples_ms[name]):.0f} ms"
    used = samples_ms.get(PROCESSOR + name)
    return f"{said} ({statistics.median(used):.0f} used)" if used else said
