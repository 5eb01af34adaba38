"""What a neighbour feels of a box that uses up all that it can: its turns alone and beside it.

The boxes are those of `tests/escape`: their limits are small, so that a bomb meets them again and
again for as long as the neighbour is looked at. One that met none has not gone off, and what was
seen beside it counts for nothing.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final

from tests.e2e.running import Hakoiri, hakoiri
from tests.e2e.scripts import RUN
from tests.e2e.talk import Talk
from tests.escape.bombs import BOMBS, Bomb, stopped_by
from tests.escape.findings import RUNTIMES
from tests.escape.installation import box_settings

from benchmarks.proxy_bars import Line
from benchmarks.report import Report
from hakoiri.cli.workspace_image import workspace_image
from hakoiri.host.settings import DEFAULT_DOCKER_HOST

BASELINE: Final = "alone"
BAR: Final = 2.0
"""A neighbour's turn may take this many times as long."""

QUESTION: Final = "run: for n in 1 2 3; do echo $n > $n.txt; git --version; done"


def measure(samples: int, *, say: Callable[[str], None]) -> Report:
    """Measure live turns of one workspace while another does nothing, or its worst, in turns.

    Each runtime by itself: a neighbour and a bomb have the same.
    """
    report = Report("A neighbour's turn beside each bomb")
    for runtime in RUNTIMES:
        with _server(runtime) as server:
            neighbour = server.conversation()
            _turn_ms(server, neighbour)  # its container starts
            for number in range(samples):
                say(f"{runtime}: round {number + 1} of {samples}")
                report.add(f"{runtime}: {BASELINE}", _turn_ms(server, neighbour))
                for name, bomb in BOMBS.items():
                    took_ms, met = _beside(server, neighbour, bomb, runtime)
                    if met:
                        report.add(f"{runtime}: {name}", took_ms)
                    else:
                        say(f"{runtime}: {name} did not go off")
    report.lines = lines_of(report)
    return report


def lines_of(report: Report) -> list[Line]:
    """Say of each bomb how often as long the neighbour's turn took, and whether it may.

    Of one that never went off nothing was measured.
    """
    return [
        _line(f"{runtime}: {name}", report.samples_ms, baseline=f"{runtime}: {BASELINE}")
        for runtime in RUNTIMES
        for name in BOMBS
    ]


def _line(name: str, samples_ms: Mapping[str, Sequence[float]], *, baseline: str) -> Line:
    bar = f"p50 <= {BAR:g} x alone"
    if name not in samples_ms or baseline not in samples_ms:
        return Line(name, bar, "-", "it never went off", None, None)
    took_ms, alone_ms = median(samples_ms[name]), median(samples_ms[baseline])
    ratio = took_ms / alone_ms
    said = f"{took_ms:.0f} ms, n={len(samples_ms[name])}"
    return Line(name, bar, said, f"alone {alone_ms:.0f} ms", ratio, ratio <= BAR)


@contextmanager
def _server(runtime: str) -> Iterator[Hakoiri]:
    with (
        tempfile.TemporaryDirectory(prefix="hakoiri-bench-") as name,
        hakoiri(
            Path(name),
            docker_host=os.environ.get("HAKOIRI_DOCKER_HOST", DEFAULT_DOCKER_HOST),
            script=RUN,
            settings=box_settings(workspace_image(), runtime),
        ) as server,
    ):
        yield server


def _beside(server: Hakoiri, neighbour: str, bomb: Bomb, runtime: str) -> tuple[float, str]:
    """Return how long the neighbour's turn took, and what stopped the bomb, if it went off."""
    hostile = server.conversation()
    server.turn(hostile, "run: true")
    talk = Talk(server, hostile, f"run: {bomb.command}")
    talk.until_tool_runs()
    time.sleep(1)  # until it is under way
    took_ms = _turn_ms(server, neighbour)
    talk.end()
    met = stopped_by(bomb, runtime, talk.events)
    server.api.call("DELETE", f"/v1/conversations/{hostile}")
    return took_ms, met


def _turn_ms(server: Hakoiri, conversation: str) -> float:
    began_s = time.perf_counter()
    last: dict[str, Any] = server.turn(conversation, QUESTION)[-1]
    if last["type"] != "result":
        raise RuntimeError(f"the neighbour's turn failed: {last['data']}")
    return (time.perf_counter() - began_s) * 1000
