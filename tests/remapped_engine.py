"""A private engine set up as `deployment/docker` says: with userns-remap, hardened.

What that needs of the machine, a user and its subordinate ids, it gets in a mount namespace of its
own, so that `/etc` stays as it is. Containers must be started where our mounts are: containerd
runs apart, in the namespace of everybody else, and what engine and containerd mount for each other
goes both ways. A network namespace of its own keeps the engine's bridge and firewall rules away.
"""

import fcntl
import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from tests.engine import (
    POLL_S,
    START_TIMEOUT_S,
    EngineStartError,
    PrivateEngine,
    end_process,
    find_command,
    remove_directory,
)

DEPLOYED: Final = Path(__file__).parents[1] / "deployment" / "docker"
REMAP_USER: Final = "dockremap"
"""Whom `"userns-remap": "default"` means."""
LOCK: Final = "lock"
MEMORY: Final = "size=6g,mode=0711"

_ENTER: Final = """\
set -e
mount --make-private "$(findmnt --noheadings --output TARGET --target /etc)"
for file in passwd group subuid subgid; do
  [ -e "/etc/$file" ] || : >"/etc/$file"
  mount --bind "$0/$file" "/etc/$file"
done
ip link set lo up
exec "$@"
"""


def deployed_configuration() -> dict[str, Any]:
    """Return the shipped daemon.json; runsc runs on ptrace, which needs neither KVM nor newer."""
    configuration: dict[str, Any] = json.loads((DEPLOYED / "daemon.json").read_text())
    runsc = configuration["runtimes"]["runsc"]
    runsc["path"] = find_command("runsc") or runsc["path"]
    runsc["runtimeArgs"].append("--platform=ptrace")
    return configuration


class RemappedEngine(PrivateEngine):
    """A dockerd with userns-remap, and a containerd of its own."""

    def __init__(self) -> None:
        """Make its directories and what it sees of `/etc`."""
        super().__init__()
        # held as long as we live, so that others can tell what we left behind
        new = self.run_directory / f"{LOCK}.new"
        self._lock = new.open("w")
        self._lock.write(str(self.data_directory))
        self._lock.flush()
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        new.rename(self.run_directory / LOCK)
        self._containerd: subprocess.Popen[bytes] | None = None
        self._containerd_socket = self.run_directory / "containerd.sock"
        # in memory: an image of 60 000 files is written and removed within seconds
        _mount(*("-t", "tmpfs", "-o", MEMORY, "tmpfs"), self.data_directory)
        _mount("--bind", str(self.run_directory), self.run_directory)
        for directory in (self.data_directory, self.run_directory):
            # a container's root is nobody here, and must pass
            directory.chmod(0o711)
            _mount("--make-private", directory)
            _mount("--make-shared", directory)
        self._configuration_file.write_text(json.dumps(deployed_configuration()))
        for name, line in (("passwd", "x:{0}:{0}::/:/bin/false"), ("group", "x:{0}:")):
            own = self.data_directory / name
            own.write_text(_with_user((Path("/etc") / name).read_text(), line))
        for name in ("subuid", "subgid"):
            (self.data_directory / name).write_bytes((DEPLOYED / name).read_bytes())
        (self.data_directory / "containerd.toml").write_text(
            f'version = 2\nroot = "{self.data_directory}/containerd"\n'
            f'state = "{self.run_directory}/containerd"\n'
            'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
            f'[grpc]\naddress = "{self._containerd_socket}"\n'
        )

    def _command(self) -> list[str]:
        return [
            *("unshare", "--net", "--mount", "--propagation", "unchanged"),
            *("sh", "-c", _ENTER, str(self.data_directory)),
            *(*self._daemon(), f"--containerd={self._containerd_socket}"),
        ]

    def start(self) -> None:
        """Start both and wait until the engine answers. Raises `EngineStartError`."""
        if self._containerd is None:
            command = [
                find_command("containerd") or "containerd",
                f"--config={self.data_directory}/containerd.toml",
            ]
            self._containerd = self._spawn(command)
            deadline_s = time.monotonic() + START_TIMEOUT_S
            while not self._containerd_socket.exists():
                if self._containerd.poll() is not None or time.monotonic() > deadline_s:
                    raise EngineStartError("containerd did not start")
                time.sleep(POLL_S)
        super().start()

    def remove(self) -> None:
        """Remove its containers, which would outlive it, then end and remove all else."""
        docker = ["docker", "--host", self.docker_host]
        if self.pid is not None:
            listed = subprocess.run(
                [*docker, "ps", "--all", "--quiet"], capture_output=True, text=True, check=True
            )
            if ids := listed.stdout.split():
                subprocess.run([*docker, "rm", "--force", *ids], capture_output=True, check=True)
        self.stop()
        containerd, self._containerd = self._containerd, None
        if containerd is not None:
            end_process(containerd)
        super().remove()
        self._lock.close()


def _mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True)


def _with_user(text: str, line: str) -> str:
    """Add the user that the engine would make for itself, with the first number that is free."""
    entries = [entry.split(":") for entry in text.splitlines() if entry.count(":") > 1]
    if REMAP_USER in {entry[0] for entry in entries}:
        return text
    taken = {entry[2] for entry in entries}
    free = next(number for number in range(900, 100, -1) if str(number) not in taken)
    return text.rstrip("\n") + f"\n{REMAP_USER}:{line.format(free)}\n"


def sweep(runs: Path = Path("/run")) -> None:
    """Remove what such engines left whose tests were killed: it lies in memory."""
    for path in runs.glob(f"hakoiri-engine-*/{LOCK}"):
        with suppress(OSError), path.open() as lock:  # somebody else may sweep at the same time
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for directory in (Path(lock.read()), path.parent):
                if directory.name.startswith("hakoiri-engine-"):
                    remove_directory(directory)


@contextmanager
def remapped_engine() -> Iterator[RemappedEngine]:
    """Run such an engine; it is gone afterwards. Raises `EngineStartError`."""
    sweep()
    engine = RemappedEngine()
    try:
        engine.start()
        yield engine
    finally:
        engine.remove()


def copy_image(image: str, *, source: str, target: str) -> None:
    """Bring an image from one engine to another."""
    with subprocess.Popen(
        ["docker", "--host", source, "save", image], stdout=subprocess.PIPE
    ) as saving:
        subprocess.run(
            ["docker", "--host", target, "load", "--quiet"],
            stdin=saving.stdout,
            capture_output=True,
            check=True,
        )
    if saving.returncode:
        raise EngineStartError(f"{source} did not give the image {image}")
