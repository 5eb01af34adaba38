import io
import json
import os
import re
import select
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from tests import engine as engines
from tests.conftest import give_up
from tests.engine import EngineStartError, PrivateEngine, private_engine

pytestmark = [pytest.mark.engine, pytest.mark.root]


@pytest.fixture(autouse=True)
def _possible() -> None:
    if reason := engines.reason_against_private_engine():
        give_up(reason)


def docker(docker_host: str, *arguments: str, stdin: bytes | None = None) -> str:
    done = subprocess.run(
        ["docker", "--host", docker_host, *arguments], input=stdin, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


def default_engines_state() -> dict[str, object] | None:
    try:
        raw = docker(engines.DEFAULT_DOCKER_HOST, "info", "--format", "{{json .}}")
    except AssertionError:
        return None
    info = json.loads(raw)
    return {key: info[key] for key in ("ID", "DockerRootDir", "Runtimes", "SecurityOptions")}


def image_with(program: Path) -> bytes:
    """A root file system of one program and its libraries, as a tar archive."""
    linked = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    libraries = re.findall(r"(/\S+) \(0x", linked)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", dereference=True) as tar:
        for path in (program, *map(Path, libraries)):
            tar.add(path, arcname=str(path).lstrip("/"))
    return archive.getvalue()


def test_a_private_engine_runs_both_runtimes_and_leaves_the_default_one_as_it_was() -> None:
    before = default_engines_state()

    with private_engine() as own:
        info = json.loads(docker(own.docker_host, "info", "--format", "{{json .}}"))
        docker(
            own.docker_host, "import", "-", "echo:private", stdin=image_with(Path("/usr/bin/echo"))
        )
        said = [
            docker(
                own.docker_host,
                *("run", "--rm", "--network", "none", "--read-only", "--cap-drop", "ALL"),
                *("--runtime", runtime, "echo:private", "/usr/bin/echo", runtime),
            )
            for runtime in ("runc", "runsc")
        ]
        pid, directories = own.pid, (own.run_directory, own.data_directory)

        assert said == ["runc", "runsc"]
        assert info["DockerRootDir"] == f"{own.data_directory}/data"
        if before is not None:
            assert info["DockerRootDir"] != before["DockerRootDir"]
            assert not docker(engines.DEFAULT_DOCKER_HOST, "image", "ls", "-q", "echo:private")

    assert not Path(f"/proc/{pid}").exists()
    assert not any(directory.exists() for directory in directories)
    assert not [mount for directory in directories for mount in engines.mounts_below(directory)]
    assert default_engines_state() == before


def test_its_data_outlives_a_restart() -> None:
    with private_engine() as own:
        docker(
            own.docker_host, "import", "-", "echo:private", stdin=image_with(Path("/usr/bin/echo"))
        )
        own.stop()
        assert own.pid is None
        own.start()
        assert docker(own.docker_host, "image", "ls", "-q", "echo:private")


def test_an_engine_that_cannot_start_says_why_and_leaves_nothing() -> None:
    own = PrivateEngine(configuration={"storage-driver": "no-such-driver"})
    try:
        with pytest.raises(EngineStartError, match="graphdriver"):
            own.start()
        assert own.pid is None
    finally:
        own.remove()
    assert not own.run_directory.exists()
    assert not own.data_directory.exists()


def test_it_ends_with_the_process_that_started_it() -> None:
    script = (
        "import os, signal\n"
        "from tests.engine import PrivateEngine\n"
        "own = PrivateEngine()\n"
        "own.start()\n"
        "print(own.pid, own.run_directory, own.data_directory, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    pid, *directories = done.stdout.split()
    try:
        assert has_ended(int(pid), within_s=engines.STOP_TIMEOUT_S)
    finally:
        for directory in directories:
            engines.remove_directory(Path(directory))


def has_ended(pid: int, *, within_s: float) -> bool:
    """Wait for a process that is not our child."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], within_s)[0])
    finally:
        os.close(descriptor)
