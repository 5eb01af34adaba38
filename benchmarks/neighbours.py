"""What a neighbour feels of a box that uses up all that it can: its turns alone and beside it."""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tests.e2e.running import Hakoiri, hakoiri
from tests.e2e.scripts import RUN
from tests.e2e.talk import Talk
from tests.escape.bombs import BOMBS

from benchmarks.report import Report
from hakoiri.cli.workspace_image import workspace_image
from hakoiri.host.settings import DEFAULT_DOCKER_HOST

BASELINE: Final = "alone"
BAR: Final = 2.0
"""A neighbour's turn may take this many times as long."""

QUESTION: Final = "run: for n in 1 2 3; do echo $n > $n.txt; git --version; done"


def measure(samples: int, *, say: Callable[[str], None]) -> Report:
    """Measure live turns of one workspace while another does nothing, or its worst, in turns."""
    report = Report("A neighbour's turn beside each bomb", baseline=BASELINE)
    with (
        tempfile.TemporaryDirectory(prefix="hakoiri-bench-") as name,
        hakoiri(
            Path(name),
            docker_host=os.environ.get("HAKOIRI_DOCKER_HOST", DEFAULT_DOCKER_HOST),
            script=RUN,
            settings={"HAKOIRI_CONTAINER__IMAGE": workspace_image()},
        ) as server,
    ):
        neighbour = server.conversation()
        _turn_ms(server, neighbour)  # its container starts
        for number in range(samples):
            say(f"round {number + 1} of {samples}")
            report.add(BASELINE, _turn_ms(server, neighbour))
            for bomb, command in BOMBS.items():
                report.add(bomb, _beside(server, neighbour, command))
    report.notes = {bomb: verdict(report, bomb) for bomb in BOMBS}
    return report


def verdict(report: Report, bomb: str) -> str:
    """Say how often as long the neighbour's turn took, and whether that is within the bar."""
    ratio = report.ratio(bomb) or 0.0
    return f"{ratio:.2f}x ({'pass' if ratio <= BAR else 'miss'}, at most {BAR:g}x)"


def _beside(server: Hakoiri, neighbour: str, command: str) -> float:
    hostile = server.conversation()
    server.turn(hostile, "run: true")
    talk = Talk(server, hostile, f"run: {command}")
    talk.until_tool_runs()
    time.sleep(1)  # until it is under way
    took_ms = _turn_ms(server, neighbour)
    talk.end()
    server.api.call("DELETE", f"/v1/conversations/{hostile}")
    return took_ms


def _turn_ms(server: Hakoiri, conversation: str) -> float:
    began_s = time.perf_counter()
    last: dict[str, Any] = server.turn(conversation, QUESTION)[-1]
    if last["type"] != "result":
        raise RuntimeError(f"the neighbour's turn failed: {last['data']}")
    return (time.perf_counter() - began_s) * 1000
