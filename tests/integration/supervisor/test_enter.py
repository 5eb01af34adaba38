"""What a process sees after `enter`: a whole view, tried by code that may override file modes."""

import dataclasses
import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.engine import mounts_below

from hakoiri.cli.supervisor.preparation import code_directories
from hakoiri.cli.supervisor.process import ProcessSpec, SealedView, launch_command
from hakoiri.docker_guard.kernel_mounts import MS_PRIVATE, MS_SHARED, bind, mount

pytestmark = pytest.mark.root

TRY = """
import json, os, socket, sys
def tried(what, *arguments):
    try:
        what(*arguments)
    except OSError as error:
        return error.strerror
    return "done"
def connect(path):
    socket.socket(socket.AF_UNIX).connect(path)
def write(path):
    open(path, "w").close()
def read(path):
    open(path).close()
ways = {"write": write, "read": read, "connect": connect, "list": os.listdir, "rename": os.rename,
        "link": os.link, "symlink": os.symlink, "mkdir": os.mkdir}
said = [tried(ways[way], *arguments) for way, *arguments in json.loads(sys.argv[1])]
print(json.dumps(said))
"""
READ_ONLY = "Read-only file system"
GONE = "No such file or directory"


@dataclass(frozen=True, slots=True)
class Ground:
    """A host in small: data, a tree of boxes, and an engine's socket in a hidden directory."""

    data: Path
    tree: Path
    engine: Path
    other: Path

    def view(self) -> SealedView:
        return SealedView(
            writable=(self.data,),
            received=(self.tree,),
            covered=(self.engine.parent, Path("/dev")),
            kept=(),
            scratch=(),
        )


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that everybody may pass, as those below pytest's own are not."""
    made = Path(tempfile.mkdtemp(prefix="hakoiri-view-"))
    made.chmod(0o755)
    yield made
    for mounted in mounts_below(made):
        subprocess.run(["umount", "--lazy", str(mounted)], check=False)
    shutil.rmtree(made)


@pytest.fixture
def ground(open_directory: Path) -> Iterator[Ground]:
    made = Ground(
        *(open_directory / name for name in ("data", "tree", "engine/docker.sock", "other"))
    )
    for directory in (made.data, made.tree, made.engine.parent, made.other):
        directory.mkdir()
    for shared in (made.tree, made.other):  # as the whole host is under systemd
        bind(shared, shared)
        mount(None, shared, flags=MS_PRIVATE)
        mount(None, shared, flags=MS_SHARED)
    box = made.tree / "box" / "workspace"
    box.mkdir(parents=True)
    bind(box, box)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(made.engine))
        listener.listen()
        yield made


def run(view: SealedView | None, *ways: tuple[str, ...]) -> list[str]:
    """Try each way as a user with the server's capabilities; return what the kernel said."""
    spec = ProcessSpec(
        name="tried",
        arguments=("-I", "-c", TRY, json.dumps(ways)),
        uid=65534,
        gid=65534,
        capabilities=("chown", "fowner", "dac_override"),
        view=view,
    )
    done = subprocess.run(
        launch_command(spec, shown=code_directories(), supervisor_pid=os.getpid()),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said: list[str] = json.loads(done.stdout)
    return said


def test_without_the_view_the_same_code_does_it_all(ground: Ground) -> None:
    assert (
        run(
            None,
            ("write", f"{ground.other}/x"),
            ("connect", str(ground.engine)),
            ("mkdir", f"{ground.tree}/x"),
        )
        == ["done"] * 3
    )


def test_what_is_not_named_is_read_only_or_gone(ground: Ground) -> None:
    assert run(
        ground.view(),
        ("write", f"{ground.other}/x"),
        ("write", "/etc/x"),
        ("connect", str(ground.engine)),
        ("list", str(ground.data)),
        ("write", f"{ground.data}/x"),
        ("write", "/dev/null"),
        ("list", "/dev/pts"),
    ) == [READ_ONLY, READ_ONLY, GONE, "done", "done", "done", GONE]


def test_data_that_lies_with_code_in_a_closed_directory_is_there_and_its_neighbours_are_not(
    ground: Ground, open_directory: Path
) -> None:
    (open_directory / "code").mkdir()
    (open_directory / "secret").touch()
    open_directory.chmod(0o700)
    view = dataclasses.replace(ground.view(), kept=(open_directory / "code",))
    assert run(
        view,
        ("list", f"{open_directory}/code"),
        ("write", f"{open_directory}/code/x"),
        ("write", f"{ground.data}/x"),
        ("write", f"{ground.tree}/box/workspace/x"),
        ("read", f"{open_directory}/secret"),
        ("list", str(ground.other)),
    ) == ["done", READ_ONLY, "done", "done", GONE, GONE]


def test_in_a_box_files_are_written_and_the_box_stays_where_it_is(ground: Ground) -> None:
    box = ground.tree / "box"
    assert run(
        ground.view(),
        ("write", f"{box}/workspace/file"),
        ("symlink", "/etc", f"{box}/workspace/link"),
        ("rename", f"{box}/workspace", f"{box}/old"),
        ("rename", str(box), f"{ground.tree}/old"),
        ("symlink", "/etc", f"{box}/new"),
        ("mkdir", f"{ground.tree}/x"),
        ("rename", str(ground.tree), f"{ground.tree}.old"),
        ("link", f"{ground.data}/../other", f"{box}/workspace/hard"),
    )[:2] == ["done", "done"]
    assert sorted(path.name for path in box.iterdir()) == ["workspace"]
    assert [path.name for path in ground.tree.iterdir()] == ["box"]
    assert sorted(path.name for path in (box / "workspace").iterdir()) == ["file", "link"]


def test_a_box_that_is_mounted_later_is_received_and_nothing_else_is(ground: Ground) -> None:
    code = """
import pathlib, sys
print("ready", flush=True)
sys.stdin.readline()
for path in sys.argv[1:]:
    print(pathlib.Path(path).exists(), flush=True)
pathlib.Path(sys.argv[1]).with_name("written").touch()
"""
    later, foreign = ground.tree / "later" / "workspace", ground.other / "foreign"
    later.mkdir(parents=True)
    foreign.mkdir()
    spec = ProcessSpec(
        name="tried",
        arguments=("-I", "-c", code, f"{later}/file", f"{foreign}/file"),
        uid=65534,
        gid=65534,
        capabilities=("dac_override",),
        view=ground.view(),
    )
    with subprocess.Popen(
        launch_command(spec, shown=code_directories(), supervisor_pid=os.getpid()),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for path in (later, foreign):
            mount("tmpfs", path, kind="tmpfs", flags=0)
            (path / "file").touch()
        process.stdin.write("\n")
        process.stdin.flush()
        assert [process.stdout.readline() for _ in range(2)] == ["True\n", "False\n"]
    assert process.returncode == 0
    assert (later / "written").exists()


def test_what_is_mounted_in_a_covered_directory_is_not_held_on_to(ground: Ground) -> None:
    foreign = ground.engine.parent / "overlay"
    foreign.mkdir()
    mount("tmpfs", foreign, kind="tmpfs", flags=0)
    code = "print(open('/proc/self/mountinfo').read())"
    spec = ProcessSpec(
        name="tried", arguments=("-I", "-c", code), uid=65534, gid=65534, view=ground.view()
    )
    done = subprocess.run(
        launch_command(spec, shown=code_directories(), supervisor_pid=os.getpid()),
        capture_output=True,
        text=True,
        check=True,
    )
    mounted = {line.split()[4] for line in done.stdout.splitlines() if line}
    assert str(foreign) not in mounted
    assert str(ground.tree) in mounted


def test_what_a_process_mounts_goes_out_from_its_shared_directory_alone(ground: Ground) -> None:
    code = """
import sys
from pathlib import Path
from hakoiri.docker_guard.kernel_mounts import mount
for path in sys.argv[1:]:
    Path(path).mkdir(exist_ok=True)
    mount("tmpfs", path, kind="tmpfs", flags=0)
"""
    out, kept = ground.tree / "out", ground.other / "kept"
    spec = ProcessSpec(
        name="mounts",
        arguments=("-P", "-c", code, str(out), str(kept)),
        uid=0,
        gid=0,
        capabilities=("sys_admin", "dac_override"),
        shared=(ground.tree,),
    )
    subprocess.run(
        launch_command(spec, shown=code_directories(), supervisor_pid=os.getpid()), check=True
    )
    mounted = [
        Path(line.split()[4]) for line in Path("/proc/self/mountinfo").read_text().splitlines()
    ]
    assert out in mounted
    assert kept not in mounted
