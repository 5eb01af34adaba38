"""How much a turn is slowed by saving its files while it runs.

Servers that differ only in their schedule run the same turn, interleaved, in an order that rotates:
tool calls that compute and write, in a workspace that holds some thousand files. Beside the time of
the turn stands the processors' time of the server's own processes over it (the container's is not
in it), which other work on the machine disturbs much less.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.cold_start import server_environment
from benchmarks.proxy_bars import Line
from benchmarks.report import Report, percentile
from hakoiri.cli.demo.server_process import ServerProcess, free_port

FILES = 5000
CALLS = 20
COMPUTE = "python3 -c 'sum(i*i for i in range(6_000_000))'"
OFF_S = 3600
OFF = "saved at its end only"
USUAL = "saved as by default (10 s, 30 s)"
SCHEDULES = {OFF: (OFF_S, OFF_S), USUAL: (10, 30), "saved every 2 s": (1, 2)}
"""Pause and longest wait, in seconds."""

BAR = 1.05
"""A turn may take so many times as long with files saved while it runs."""

PROCESSOR = "server's processor time"
TICKS_PER_S = os.sysconf("SC_CLK_TCK")

CALL = (
    f'      - say: I work.\n        use: [{{tool: Bash, input: {{command: "{COMPUTE}; '
    'date +%N > changed-$RANDOM", description: work}}]\n'
)
SCRIPT = f"""
scenes:
  - name: fill
    when: {{ regex: '^fill$' }}
    replies:
      - say: I fill.
        use:
          - tool: Bash
            input:
              command: mkdir -p d && cd d && for i in $(seq {FILES}); do echo $i > f$i; done
              description: fill
      - say: filled
  - name: work
    replies:
{CALL * CALLS}      - say: done
"""


def measure(samples: int, *, say: Callable[[str], None]) -> Report:
    """Measure whole turns, from the message to the result."""
    report = Report(
        f"A turn of {CALLS} tool calls in a workspace of {FILES} files",
        baseline=OFF,
    )
    load = [_load()]
    with ExitStack() as stack:
        talks = {
            name: _conversation(stack, quiet_s=times[0], longest_wait_s=times[1])
            for name, times in SCHEDULES.items()
        }
        names = list(talks)
        for number in range(samples):
            say(f"round {number + 1} of {samples}")
            first = number % len(names)
            for name in names[first:] + names[:first]:
                server, conversation = talks[name]
                before_ms = processor_ms(server.pid)
                report.add(name, turn(server, conversation, "work") * 1000)
                used_ms = processor_ms(server.pid) - before_ms
                report.add(f"{PROCESSOR}, {name}", used_ms)
    load.append(_load())
    report.notes = {"load at the start and the end": " and ".join(load)}
    report.lines = lines_of(report.samples_ms)
    report.samples_ms = dict(sorted(report.samples_ms.items(), key=_is_processor))
    return report


def lines_of(samples_ms: Mapping[str, Sequence[float]]) -> list[Line]:
    """Compare each round's turns with and without saves; the medians of the rounds' ratios count.

    The second line is the processors' time that saves take, over the time of the turn: what is
    left of a slowdown when other work disturbs the times themselves.
    """
    off, usual = samples_ms[OFF], samples_ms[USUAL]
    ratio = statistics.median(mine / base for mine, base in zip(usual, off, strict=True))
    busy = zip(
        samples_ms[f"{PROCESSOR}, {USUAL}"], samples_ms[f"{PROCESSOR}, {OFF}"], off, strict=True
    )
    share = 1 + statistics.median((mine - base) / turn for mine, base, turn in busy)
    return [
        Line("a turn's time", f"<= {BAR:g}", _said(usual), _said(off), ratio, ratio <= BAR),
        Line("of it processors' time", f"<= {BAR:g}", "", "", share, share <= BAR),
    ]


def _said(samples_ms: Sequence[float]) -> str:
    return f"{statistics.median(samples_ms):.0f} ms, p95 {percentile(list(samples_ms), 95):.0f}"


def _load() -> str:
    return f"{os.getloadavg()[0]:.1f}"


def _conversation(
    stack: ExitStack, *, quiet_s: int, longest_wait_s: int
) -> tuple[ServerProcess, str]:
    """Start a server; return it with a conversation whose workspace is filled."""
    root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hakoiri-bench-")))
    root.chmod(0o755)  # the server runs as a user of its own
    script = root / "script.yaml"
    script.write_text(SCRIPT, encoding="utf-8")
    settings = server_environment(root, free_port()) | {
        "HAKOIRI_MODEL__REHEARSAL_SCRIPT": str(script),
        "HAKOIRI_TURN__SYNC_QUIET_S": str(quiet_s),
        "HAKOIRI_TURN__SYNC_LONGEST_WAIT_S": str(longest_wait_s),
        **(
            {"HAKOIRI_DOCKER_HOST": host} if (host := os.environ.get("HAKOIRI_DOCKER_HOST")) else {}
        ),
    }
    server = stack.enter_context(ServerProcess(environment=settings, log=root / "server.log"))
    conversation: str = server.api.call("POST", "/v1/conversations", {})["id"]
    turn(server, conversation, "fill")
    return server, conversation


def turn(server: ServerProcess, conversation: str, text: str) -> float:
    begun_s = time.perf_counter()
    last = {"type": "nothing"}
    for last in server.api.send(conversation, text):  # noqa: B007 - only the last one matters
        pass
    if last["type"] != "result":
        raise RuntimeError(f"the turn failed: {last}\n{server.log_tail()}")
    return time.perf_counter() - begun_s


def processor_ms(pid: int) -> float:
    """Return the processors' time that a process and all below it, ended ones too, have used."""
    path = Path(f"/proc/{pid}")
    try:
        fields = (path / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        children = (path / f"task/{pid}/children").read_text(encoding="ascii").split()
    except FileNotFoundError:
        return 0
    own = sum(int(field) for field in fields[11:15]) / TICKS_PER_S * 1000  # proc(5): 14 to 17
    return own + sum(processor_ms(int(child)) for child in children)


def _is_processor(measure: tuple[str, list[float]]) -> bool:
    return measure[0].startswith(PROCESSOR)
