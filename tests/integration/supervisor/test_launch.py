"""A process and the supervisor that launches it: it runs as that one's child alone."""

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
from hakoiri.cli.supervisor.process import ProcessSpec, launch_command

pytestmark = pytest.mark.root

NOBODY = 65534

SUPERVISOR = """
import os, signal, subprocess, sys, time
from pathlib import Path
from hakoiri.cli.supervisor.process import ProcessSpec, launch_command

directory = sys.argv[1]
program = "import pathlib, sys, time; pathlib.Path(sys.argv[1], 'ran').touch(); time.sleep(600)"
spec = ProcessSpec("it", ("-c", program, directory), 65534, 65534)
shown = tuple(map(Path, sys.argv[2:]))
child = subprocess.Popen(launch_command(spec, shown=shown, supervisor_pid=os.getpid()), cwd="/")
child.send_signal(signal.SIGSTOP)  # before it could ask to be told of our death
print(child.pid, flush=True)
time.sleep(600)
"""


def launch(*, supervisor_pid: int) -> tuple[int, str, str]:
    """Launch a program as our child; return its exit code and what it wrote."""
    spec = ProcessSpec(name="p", arguments=("-c", "print('served')"), uid=NOBODY, gid=NOBODY)
    command = launch_command(spec, shown=code_directories(), supervisor_pid=supervisor_pid)
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stdout, ended.stderr


def test_a_child_of_the_supervisor_runs() -> None:
    assert launch(supervisor_pid=os.getpid()) == (0, "served\n", "")


def test_one_whose_supervisor_died_before_it_ran_does_not() -> None:
    # to the child its parent is then another than the one that launched it, as is this process
    assert launch(supervisor_pid=os.getppid()) == (1, "", "")


def test_a_program_gets_no_variable_but_those_that_it_is_given() -> None:
    spec = ProcessSpec(
        name="p",
        arguments=("-c", "import os; print(sorted(os.environ))"),
        uid=NOBODY,
        gid=NOBODY,
    )
    command = launch_command(spec, shown=code_directories(), supervisor_pid=os.getpid())
    given = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    ended = subprocess.run(command, env=given, capture_output=True, text=True, check=True)
    assert ended.stdout == f"{sorted(given)}\n"


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
