"""The front door of the benchmarks: which to run, how often, how to show them."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Final

from rich.console import Console

from benchmarks import (
    audit_log,
    box_disks,
    cold_start,
    docker_guard,
    file_sync,
    fork,
    frozen,
    live_sync,
    neighbours,
    object_sync,
    orchestrator,
    proxy,
    runtimes,
    sandboxes,
    seen_cost,
    tracing,
    tree_scan,
    warm_pool,
    workspace_exec,
)
from benchmarks.arguments import count
from benchmarks.proxy_bars import Line, table_of
from benchmarks.report import Report, machine
from hakoiri.cli.termination import end_in_order_on_sigterm

EXAMPLES: Final = """examples:
  python -m benchmarks                     starts and turns, 20 of each
  python -m benchmarks orchestrator        starts, claims, messages, commands and peers, 50 of each
  python -m benchmarks all --n 30          everything
  python -m benchmarks proxy --n 5         the proxy beside its peers, 5 rounds, against the bars
  python -m benchmarks object_sync --quick --n 2   file sync beside its peers, a smaller tree

  make bench ARGS="cold_start --n 50"
"""

Measure = Callable[..., Report]
BENCHMARKS: Final[dict[str, Measure]] = {
    "audit_log": audit_log.measure,
    "box_disks": box_disks.measure,
    "cold_start": cold_start.measure,
    "docker_guard": docker_guard.measure,
    "file_sync": file_sync.measure,
    "fork": fork.measure,
    "frozen": frozen.measure,
    "live_sync": live_sync.measure,
    "large_files": partial(object_sync.measure, sizes=object_sync.LARGE),
    "neighbours": neighbours.measure,
    "object_sync": object_sync.measure,
    "orchestrator": orchestrator.measure,
    "runtimes": runtimes.measure,
    "sandboxes": sandboxes.measure,
    "seen_cost": seen_cost.measure,
    "tracing": tracing.measure,
    "tree_scan": tree_scan.measure,
    "warm_pool": warm_pool.measure,
    "idle_pool": warm_pool.measure_idle,
    "workspace_exec": workspace_exec.measure,
}


QUICKER: Final[dict[str, Measure]] = {
    "audit_log": partial(audit_log.measure, lines=audit_log.QUICK_LINES),
    "object_sync": partial(object_sync.measure, sizes=object_sync.QUICK),
    "orchestrator": partial(orchestrator.measure, idle=4, burst=4),
}
"""Those that have a smaller form, for `--quick`."""

DEFAULT_SAMPLES: Final = 20
SAMPLES: Final = {"orchestrator": orchestrator.SAMPLES}

PROXY: Final = "proxy"
PROXY_ROUNDS: Final = 5
ALL: Final = "all"


def main() -> int:
    """Run what was asked for; exit code 1 if a bar was missed, but for `--quick`."""
    arguments = read_arguments()
    end_in_order_on_sigterm()
    console = Console(stderr=True, highlight=False)
    where = machine()
    reports: list[Report] = []
    lines: list[Line] = []
    for name in _chosen(arguments.benchmark):

        def say(text: str, name: str = name) -> None:
            console.print(f"{name}: {text}")

        if name == PROXY:
            rounds = min(arguments.n or DEFAULT_SAMPLES, PROXY_ROUNDS)
            lines = proxy.measure(rounds, say=say)
        else:
            measure = QUICKER.get(name) if arguments.quick else None
            samples = arguments.n or SAMPLES.get(name, DEFAULT_SAMPLES)
            reports.append((measure or BENCHMARKS[name])(samples, say=say))
    if arguments.json:
        found = {
            "machine": where,
            "reports": [report.as_json() for report in reports],
            "proxy": [asdict(line) for line in lines],
        }
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return _exit_code(reports, lines, is_quick=arguments.quick)
    out = Console(highlight=False)
    out.print(", ".join(f"{key} {value}" for key, value in where.items()))
    for report in reports:
        out.print(report.table())
        if report.lines:
            out.print(table_of(report.lines, title=f"{report.title}: bars"))
    if lines:
        out.print(table_of(lines))
    return _exit_code(reports, lines, is_quick=arguments.quick)


def _exit_code(reports: Sequence[Report], lines: Sequence[Line], *, is_quick: bool) -> int:
    judged = [*lines, *(line for report in reports for line in report.lines)]
    return int(not is_quick and any(line.is_met is False for line in judged))


def read_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line (default: that of this process); exit with 2 if it cannot be meant."""
    return _parser().parse_args(words)


def _chosen(benchmark: str) -> Sequence[str]:
    return (*BENCHMARKS, PROXY) if benchmark == ALL else (benchmark,)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure Hakoiri on this machine. Needs root, an engine and the image.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "benchmark",
        nargs="?",
        choices=[*BENCHMARKS, PROXY, ALL],
        default="cold_start",
        help="what to measure (default: cold_start)",
    )
    parser.add_argument(
        "--n",
        type=count,
        help=f"samples of each (default: {DEFAULT_SAMPLES}; orchestrator: {orchestrator.SAMPLES})",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"less of it, which the bars are not meant for ({', '.join(QUICKER)})",
    )
    parser.add_argument("--json", action="store_true", help="all samples, as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
