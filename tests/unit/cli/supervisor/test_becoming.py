import os
import subprocess
import sys
from pathlib import Path

import pytest

from hakoiri.cli.supervisor.becoming import becoming_command
from hakoiri.cli.supervisor.preparation import PreparationError
from hakoiri.cli.supervisor.process import ProcessSpec

SPEC = ProcessSpec(name="proxy", arguments=("-m", "some.module", "--x"), uid=901, gid=902)
BECOME = """
import os, sys
from hakoiri.cli.supervisor.becoming import become
from hakoiri.cli.supervisor.process import ProcessSpec
read, write = os.pipe()
os.write(write, b"handed on")
print(read, flush=True)
code = "import os, sys; print(sys.stdin.read(), os.getcwd(), dict(os.environ)); "
code += f"print(os.read({read}, 99))"
become(ProcessSpec(
    name="told", arguments=("-I", "-c", code), uid=os.geteuid(), gid=os.getegid(),
    environment={"ONLY": "this"}, standard_input=b"all of it" * 20_000, inherited=(read,),
))
"""


def test_its_own_user_becomes_the_process_without_more_ado() -> None:
    assert becoming_command(SPEC, uid=901, gid=902) == [
        sys.executable,
        "-P",
        "-m",
        "some.module",
        "--x",
    ]


def test_root_becomes_the_user_with_the_capabilities_of_the_process_alone() -> None:
    spec = ProcessSpec(name="guard", arguments=(), uid=901, gid=902, capabilities=("sys_admin",))
    command = becoming_command(spec, uid=0, gid=0)
    assert command[0] == "setpriv"
    assert {"--reuid=901", "--regid=902", "--no-new-privs"} <= set(command)
    assert "--bounding-set=-all,+sys_admin" in command


@pytest.mark.parametrize(("uid", "gid"), [(903, 902), (901, 904)])
def test_another_user_is_told_whom_to_be(uid: int, gid: int) -> None:
    with pytest.raises(PreparationError, match="proxy runs as 901:902"):
        becoming_command(SPEC, uid=uid, gid=gid)


def test_a_process_with_capabilities_cannot_be_had_from_its_user() -> None:
    spec = ProcessSpec(name="guard", arguments=(), uid=901, gid=902, capabilities=("sys_admin",))
    with pytest.raises(PreparationError, match="start it as root"):
        becoming_command(spec, uid=901, gid=902)


def test_it_gets_its_input_its_descriptors_and_no_other_environment(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(BECOME)
    done = subprocess.run(
        [sys.executable, str(program)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PLANTED": "secret"},
    )
    said = done.stdout.splitlines()
    assert said[1].startswith("all of it" * 20_000 + " / ")
    assert "ONLY" in said[1]
    assert "PLANTED" not in said[1]
    assert said[2] == "b'handed on'"
