"""A supervisor that is killed while it starts a process: the process must not stay."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.waiting import until

from hakoiri.cli.supervisor.preparation import code_directories

pytestmark = pytest.mark.root

SUPERVISOR = """
import os, signal, subprocess, sys, time
from pathlib import Path
from hakoiri.cli.supervisor.process import ProcessSpec, launch_command

directory = sys.argv[1]
program = "import pathlib, sys, time; pathlib.Path(sys.argv[1], 'ran').touch(); time.sleep(600)"
spec = ProcessSpec("it", ("-c", program, directory), 65534, 65534)
shown = tuple(map(Path, sys.argv[2:]))
child = subprocess.Popen(launch_command(spec, shown=shown), cwd="/")
child.send_signal(signal.SIGSTOP)  # before it could ask to be told of our death
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def directory() -> Iterator[Path]:
    """Where any user can write."""
    made = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="hakoiri-orphan-"))
    made.chmod(0o777)
    yield made
    shutil.rmtree(made)


def begun(directory: Path) -> tuple[subprocess.Popen[str], int]:
    """Start a supervisor; return it, and the process that it began to start, which is stopped."""
    shown = [str(path) for path in code_directories()]
    supervisor = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, str(directory), *shown],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert supervisor.stdout is not None
    return supervisor, int(supervisor.stdout.readline())


def test_who_lost_its_supervisor_before_it_ran_never_runs(directory: Path) -> None:
    supervisor, child = begun(directory)
    with supervisor:
        supervisor.kill()
        supervisor.wait()
        os.kill(child, signal.SIGCONT)
        until(lambda: not Path(f"/proc/{child}").exists())
    assert not (directory / "ran").exists()


def test_who_has_its_supervisor_runs_until_that_is_killed(directory: Path) -> None:
    supervisor, child = begun(directory)
    with supervisor:
        os.kill(child, signal.SIGCONT)
        until((directory / "ran").exists)
        supervisor.kill()
        until(lambda: not Path(f"/proc/{child}").exists())
