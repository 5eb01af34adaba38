"""The whole table of starts, claims, messages and commands, with the peers in the same run.

Each round has one of everything, in an order that rotates: a `docker run`, the bare steps of a
start, a conversation that starts cold, one from a warm pool with the agent's process ahead and one
without, a claim while a pool refills below its minimum, sandboxes of ours and of the peers, a
message to a frozen workspace, a command in a live one. What is measured is what the benches of
those names measure; this one only has them side by side. Three servers run, of which one works.

At the end the pool is filled with `IDLE_COUNT` members, for the server's processor time while they
idle; then with as many as are claimed at once, with the process ahead, as by default. That burst
starts fifty turns at the same time: on a small machine it stands still for a minute or two, and
needs some 9 GB.
"""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Final

from benchmarks import frozen, sandboxes, warm_pool, workspace_exec
from benchmarks.cold_start import machine_notes
from benchmarks.orchestrator_bars import DOCKER_RUN, IDLE_COUNT, lines_of
from benchmarks.plain_container import plain_container
from benchmarks.report import Part, Report, in_turns
from hakoiri.cli.workspace_image import workspace_image
from hakoiri.host.containers.box import read_box
from hakoiri.host.settings import load

SAMPLES: Final = 50
FILLED_AT_ONCE: Final = 4


def measure(
    samples: int,
    *,
    say: Callable[[str], None],
    idle: int = IDLE_COUNT,
    burst: int = warm_pool.BURST,
) -> Report:
    """Measure; the first round warms caches and is not counted.

    Raises `RuntimeError` unless each claim of the burst got a warm container of its own.
    """
    report = Report("Starts, claims, messages and commands", baseline=DOCKER_RUN)
    with ExitStack() as stack:
        warm = stack.enter_context(warm_pool.serving(say))
        host, image = warm.site.engine_host, workspace_image()
        report.notes = machine_notes(host, image)
        box = read_box(load(docker_host=host), instance="bench")
        plain = stack.enter_context(plain_container(engine_host=host, box=box, image_id=image))
        kinds = stack.enter_context(sandboxes.kinds(warm, plain, report))
        live = stack.enter_context(workspace_exec.live_workspace(say))
        sleeper = stack.enter_context(frozen.sleeper())
        parts: list[Part] = [
            plain.docker_run,
            plain.steps,
            warm.site.conversation,
            *(partial(_warm, warm, kind) for kind in warm_pool.KINDS),
            warm.claim_in_refill,
            *(partial(_sandbox, warm, kind) for kind in kinds),
            sleeper.messages,
            *live.parts(),
        ]
        in_turns(parts, samples, report, say=say)
        say(f"filling the pool with {idle}, and letting them idle")
        warm.fill(idle, preconnect=False, at_once=FILLED_AT_ONCE)
        warm.idle(report, idle)
        say(f"filling the pool with {burst}, with the process ahead, and claiming all at once")
        warm.fill(burst, preconnect=True, at_once=FILLED_AT_ONCE)
        warm.burst(report, burst)
    report.lines = lines_of(report)
    return report


def _warm(warm: warm_pool.WarmSite, kind: str, report: Report) -> None:
    warm.conversation(report, kind)


def _sandbox(warm: warm_pool.WarmSite, kind: sandboxes.Sandbox, report: Report) -> None:
    sandboxes.one_of(kind, report)
    warm.site.until_gone()  # what removes it must not run beside the next sample
