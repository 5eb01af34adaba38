"""A process and the supervisor that launches it: it runs as that one's child alone."""

import os
import subprocess

import pytest

from hakoiri.cli.supervisor.preparation import code_directories
from hakoiri.cli.supervisor.process import ProcessSpec, launch_command

pytestmark = pytest.mark.root

NOBODY = 65534


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
