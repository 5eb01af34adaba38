"""The container engine that tests use: the default one as it is, or a private one of our own.

A private engine has its own socket, data and exec root, pidfile and configuration, and no bridge.
It ends with the process that started it, even if that is killed, and leaves nothing behind when it
is removed. The default engine is never changed.
"""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from hakoiri.cli.doctor.engine_facts import EngineUnknownError, read_engine
from hakoiri.docker_guard.runsc_flags import why_not_sealed
from hakoiri.wire.guard import RUNSC_FLAGS

DEFAULT_DOCKER_HOST = "unix:///var/run/docker.sock"
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 45.0
POLL_S = 0.1


class EngineStartError(Exception):
    """A private engine did not come up; the message ends with its last words."""


@dataclass(frozen=True, slots=True)
class TestEngine:
    """An engine with `runc` and `runsc`. `owned`: private, so that a test may do what it likes."""

    __test__: ClassVar[bool] = False  # not a test class, whatever its name

    docker_host: str
    owned: bool


def default_engine() -> TestEngine | None:
    """Return the engine that the caller's environment names, if it can do what the tests need."""
    docker_host = os.environ.get("DOCKER_HOST") or DEFAULT_DOCKER_HOST
    try:
        arguments = read_engine(docker_host).runtimes.get("runsc", ())
    except EngineUnknownError:
        return None
    if why_not_sealed(arguments) is not None:
        return None
    return TestEngine(docker_host=docker_host, owned=False)


def reason_against_private_engine() -> str | None:
    """Return why this machine cannot start a private engine; None if it can."""
    if os.geteuid() != 0:
        return "no engine with runsc answers, and only root can start one; run `make test` as root"
    for command in ("dockerd", "runsc", "setpriv"):
        if find_command(command) is None:
            return f"no engine with runsc answers, and there is no {command}; run `make test`"
    return None


class PrivateEngine:
    """A dockerd of our own. It can be stopped and started again with the same data."""

    def __init__(self, *, configuration: Mapping[str, Any] | None = None) -> None:
        """Make its directories; `configuration` is added to its daemon.json."""
        self.data_directory = Path(tempfile.mkdtemp(prefix="hakoiri-engine-", dir="/var/lib"))
        # sockets: a short path
        self.run_directory = Path(tempfile.mkdtemp(prefix="hakoiri-engine-", dir="/run"))
        self.docker_host = f"unix://{self.run_directory}/docker.sock"
        self._log = self.data_directory / "dockerd.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._configuration_file = self.data_directory / "daemon.json"
        self._configuration_file.write_text(
            json.dumps(_BASE_CONFIGURATION | _runsc() | dict(configuration or {}))
        )

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Start it and wait until it answers. Raises `EngineStartError`."""
        self._process = self._spawn(self._command())
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                self.stop()
                last_words = "\n".join(self._log.read_text(errors="replace").splitlines()[-12:])
                raise EngineStartError(f"the private engine did not start:\n{last_words}")
            time.sleep(POLL_S)

    def _command(self) -> list[str]:
        return [*self._daemon(), "--bridge=none"]

    def _daemon(self) -> list[str]:
        """Return the engine's command with all that keeps it apart from the default one."""
        return [
            find_command("dockerd") or "dockerd",
            f"--config-file={self._configuration_file}",
            f"--host={self.docker_host}",
            f"--data-root={self.data_directory}/data",
            f"--exec-root={self.run_directory}/exec",
            f"--pidfile={self.run_directory}/docker.pid",
        ]

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        """Start a process that does not outlive us, even if we are killed."""
        with self._log.open("ab") as log:
            return subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def stop(self) -> None:
        """End it and its containers; nothing happens if it does not run."""
        process, self._process = self._process, None
        if process is not None:
            end_process(process)

    def kill(self) -> None:
        """End it without a word; what it leaves running is the next start's affair."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def remove(self) -> None:
        """End it and remove all that it made."""
        self.stop()
        for directory in (self.run_directory, self.data_directory):
            remove_directory(directory)

    def _answers(self) -> bool:
        try:
            read_engine(self.docker_host)
        except EngineUnknownError:
            return False
        return True


def end_process(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end; kill it if it does not."""
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def remove_directory(directory: Path) -> None:
    """Remove what an engine left, its mounts first."""
    for mount_point in mounts_below(directory):
        subprocess.run(["umount", "--lazy", str(mount_point)], check=False)
    shutil.rmtree(directory)


@contextlib.contextmanager
def private_engine(*, configuration: Mapping[str, Any] | None = None) -> Iterator[PrivateEngine]:
    """Run a private engine; it is gone afterwards. Raises `EngineStartError`."""
    engine = PrivateEngine(configuration=configuration)
    try:
        engine.start()
        yield engine
    finally:
        engine.remove()


_BASE_CONFIGURATION: dict[str, Any] = {
    "iptables": False,
    "ip6tables": False,
    "ip-forward": False,
    "ip-masq": False,
}


def _runsc() -> dict[str, Any]:
    # ptrace: the one platform that needs neither KVM nor a new kernel
    flags = [*RUNSC_FLAGS, "--platform=ptrace"]
    return {"runtimes": {"runsc": {"path": find_command("runsc") or "runsc", "runtimeArgs": flags}}}


def find_command(command: str) -> str | None:
    return shutil.which(command, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")


def mounts_below(directory: Path) -> list[Path]:
    """Return the mount points below, innermost first."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = {Path(line.split()[4]) for line in lines}
    return sorted(
        (point for point in points if point.is_relative_to(directory)),
        key=lambda point: len(point.parts),
        reverse=True,
    )
