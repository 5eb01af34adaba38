"""Takes one defence out at a time, in a copy of the source, and looks whether its tests see it."""

import compileall
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from tests.mutation.catalogue import ROOT, CatalogueError, Defence, check
from tests.mutation.observer import REPORT_VARIABLE, SOURCE_VARIABLE
from tests.mutation.tried import Verdict

AT_ONCE: Final = 2
TIMEOUT_S: Final = 300
_TEST_TIMEOUT_S: Final = 60
_ALL_PASSED: Final = 0
_SOME_FAILED: Final = 1


@dataclass(frozen=True, slots=True)
class Run:
    """One run of pytest: its exit code, how each test ended, and the end of what it said."""

    exit_code: int
    ended: dict[str, str]
    said: str


@dataclass(frozen=True, slots=True)
class Result:
    """A defence, what became of its mutant, why, and how long it took."""

    defence: Defence
    verdict: Verdict
    reason: str
    took_s: float


@contextmanager
def compiled_source(root: Path = ROOT) -> Iterator[Path]:
    """Give a compiled copy of `src/` to make the others from, and take it away again."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as directory:
        source = Path(directory) / "src"
        shutil.copytree(root / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
        compileall.compile_dir(source, quiet=1)
        yield source


@contextmanager
def linked_source(compiled: Path) -> Iterator[Path]:
    """Give a copy of `compiled` in links, in which a file is replaced and never written to."""
    with tempfile.TemporaryDirectory(prefix="mutant-", dir=compiled.parent) as directory:
        source = Path(directory) / "src"
        shutil.copytree(compiled, source, copy_function=os.link)
        yield source


def run_tests(source: Path, nodes: Iterable[str]) -> Run:
    """Run `nodes` of this tree against the package in `source`."""
    report = source.parent / "report.json"
    environment = {
        **os.environ,
        "PYTHONPATH": str(source),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HYPOTHESIS_STORAGE_DIRECTORY": str(source.parent / "hypothesis"),
        SOURCE_VARIABLE: str(source),
        REPORT_VARIABLE: str(report),
    }
    command = [
        *(sys.executable, "-m", "pytest", "-q", "--tb=line", "--no-header", "-rN"),
        *("-p", "tests.mutation.observer", "-p", "no:cacheprovider"),
        *("-o", f"pythonpath={source} {ROOT}", f"--timeout={_TEST_TIMEOUT_S}"),
        f"--basetemp={source.parent / 't'}",  # the shared one is swept by each run
        *nodes,
    ]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as ran:  # fmt: skip
        try:
            said, _ = ran.communicate(timeout=TIMEOUT_S)
        except BaseException:  # it takes too long, or this is interrupted
            os.killpg(ran.pid, signal.SIGKILL)  # with the proxies that its tests started
            raise
    ended = json.loads(report.read_text()) if report.is_file() else {}
    return Run(ran.returncode, ended, said[-2000:])


def judge(defence: Defence, run: Run) -> tuple[Verdict, str]:
    """Say what a run without the defence shows: each of its tests must have failed."""
    if run.exit_code not in (_ALL_PASSED, _SOME_FAILED):
        return Verdict.BROKEN, f"pytest ended with {run.exit_code}: {run.said[-300:]}"
    for node in defence.tests:
        outcomes = [ended for name, ended in run.ended.items() if is_of(name, node)]
        if "broken" in outcomes:
            return Verdict.BROKEN, f"{node} could not run"
        if "failed" not in outcomes:
            return Verdict.SURVIVED, f"{node} does not fail"
    return Verdict.CAUGHT, ""


def is_of(name: str, node: str) -> bool:
    """Whether the test `name` is `node`, or `node` with one of its parameters."""
    return name == node or name.startswith(f"{node}[")


def try_one(defence: Defence, *, compiled: Path) -> Result:
    """Take `defence` out of a copy, and run its tests against that."""
    started_s = time.monotonic()
    with linked_source(compiled) as source:
        defence.take_out(source)
        try:
            verdict, reason = judge(defence, run_tests(source, defence.tests))
        except subprocess.TimeoutExpired:
            verdict, reason = Verdict.BROKEN, f"the tests took longer than {TIMEOUT_S} s"
    return Result(defence, verdict, reason, time.monotonic() - started_s)


def fault_of_whole(nodes: Iterable[str], *, compiled: Path) -> str | None:
    """Run all tests against an unchanged copy; tell what is wrong when not all of them pass."""
    wanted = sorted(set(nodes))
    with linked_source(compiled) as source:
        run = run_tests(source, wanted)
    if run.exit_code != _ALL_PASSED:
        return f"the tests do not pass with every defence in place:\n{run.said}"
    for node in wanted:
        outcomes = {ended for name, ended in run.ended.items() if is_of(name, node)}
        if outcomes != {"passed"}:
            return f"{node} did not pass but: {', '.join(outcomes) or 'nothing'}"
    return None


def try_all(defences: list[Defence]) -> Iterator[Result]:
    """Try each defence, two at a time, and give the results as they come.

    Raises:
        CatalogueError: an entry does not fit the code, or its tests do not pass as it is.
    """
    for defence in defences:
        check(defence)
    with compiled_source() as compiled:
        nodes = [node for defence in defences for node in defence.tests]
        fault = fault_of_whole(nodes, compiled=compiled)
        if fault is not None:
            raise CatalogueError(fault)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            yield from pool.map(partial(try_one, compiled=compiled), defences)
