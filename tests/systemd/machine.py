"""A systemd of our own, with an engine of its own, over a view of this host's files.

It runs in namespaces and on a disk of its own, both of which end with it; nothing of the host's own
services is started, and nothing of the host's files is changed.
"""

import json
import os
import re
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
DISK_SIZE: Final = "24G"
"""Sparse: what is written of it is some gigabytes."""

START_LIMIT_S: Final = 120.0
COMMAND_LIMIT_S: Final = 900.0
PASSED_ON: Final = re.compile(r"PIP_\w+|SSL_CERT_\w+|\w+_CA_CERTS|\w+_proxy|\w+_PROXY|LANG")
"""How this host reaches its package archives."""

NAMESPACES: Final = ("--mount", "--uts", "--ipc", "--pid", "--cgroup")
ENGINE: Final = {
    "bridge": "none",
    "iptables": False,
    "ip6tables": False,
    "ip-forward": False,
    "ip-masq": False,
}


class MachineError(Exception):
    """It did not come up, or a command in it failed; the message has the last words."""


def reason_against_machine() -> str | None:
    """Return why none can be had here; None if one can."""
    if os.geteuid() != 0:
        return "only root can boot a systemd; run `make test-systemd` as root"
    for command in ("dockerd", "mke2fs", "unshare", "nsenter"):
        if shutil.which(command, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin") is None:
            return f"there is no {command}; `make test-systemd` installs it"
    if not Path("/lib/systemd/systemd").exists():
        return "there is no systemd; `make test-systemd` installs it"
    return None


class Machine:
    """Boots with `start`; commands run in it as root."""

    def __init__(self) -> None:
        """Make its disk."""
        self._work = Path(tempfile.mkdtemp(prefix="hakoiri-systemd-", dir="/var/tmp"))
        self._disk = self._work / "disk"
        self._groups: list[Path] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._pid = 0
        image = self._work / "image"
        _run("truncate", f"--size={DISK_SIZE}", str(image))
        _run("mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal", str(image))
        self._disk.mkdir()
        _run("mount", "-o", "loop", str(image), str(self._disk))
        # it is gone with the last mount, and takes no place on the host before
        image.unlink()
        (self._disk / "daemon.json").write_text(json.dumps(ENGINE))

    def start(self) -> None:
        """Boot. Raises `MachineError`."""
        self._groups = _make_groups(f"hakoiri-{secrets.token_hex(4)}")
        join = "".join(f"echo $$ >{group}/cgroup.procs; " for group in self._groups)
        with (self._work / "console").open("wb") as console:
            self._process = subprocess.Popen(
                [
                    *("setpriv", "--pdeathsig", "KILL", "bash", "-c"),
                    f'{join} exec unshare "$@"',
                    "unshare",
                    *NAMESPACES,
                    *("--fork", "--kill-child", "--propagation", "private"),
                    *("bash", str(HERE / "boot.sh"), str(self._disk)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._until(self._has_booted, "did not boot")

    def run(self, *command: str, given: str | None = None) -> str:
        """Run a command in it; return what it printed. Raises `MachineError` if it fails."""
        done = self.attempt(*command, given=given)
        if done.returncode != 0:
            said = f"{done.stdout[-3000:]}{done.stderr[-3000:]}"
            raise MachineError(f"{' '.join(command)} ended with {done.returncode}:\n{said}")
        return done.stdout

    def attempt(self, *command: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command in it, whatever it ends with."""
        return subprocess.run(
            [*self._enter(), *command],
            input=given,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_LIMIT_S,
        )

    def pipe_in(self, source: list[str], *command: str) -> None:
        """Run a command of the host's into one of the machine's. Raises `MachineError`."""
        with subprocess.Popen(source, stdout=subprocess.PIPE) as giving:
            done = subprocess.run(
                [*self._enter(), *command], stdin=giving.stdout, capture_output=True, check=False
            )
        if giving.returncode != 0 or done.returncode != 0:
            raise MachineError(f"{source} into {command}: {done.stderr.decode()[-2000:]}")

    def write(self, path: str, text: str, *, mode: str = "0644") -> None:
        """Write a file in it."""
        self.run("install", "-D", "-m", mode, "/dev/stdin", path, given=text)

    def journal(self, unit: str) -> str:
        """What a unit has said."""
        return self.run("journalctl", "--no-pager", "--output=cat", f"--unit={unit}")

    def property_of(self, unit: str, name: str) -> str:
        """What systemd says of a unit."""
        return self.run("systemctl", "show", "--value", f"--property={name}", unit).strip()

    def remove(self) -> None:
        """End it, and all that is in it."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()  # its first process dies with it, and all others with that
            process.wait()
        deadline_s = time.monotonic() + START_LIMIT_S
        for group in self._groups:
            while not _is_removed(group) and time.monotonic() < deadline_s:
                time.sleep(0.1)
        subprocess.run(["umount", "--lazy", str(self._disk)], check=False)
        shutil.rmtree(self._work, ignore_errors=True)

    def console(self) -> str:
        """What its first process printed."""
        return (self._work / "console").read_text(errors="replace")

    def _enter(self) -> list[str]:
        kinds = ("--mount", "--uts", "--ipc", "--pid", "--cgroup")
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        kept = [
            f"{name}={value}" for name, value in os.environ.items() if PASSED_ON.fullmatch(name)
        ]
        into = ["nsenter", f"--target={self._pid}", *kinds, "--"]
        return [*into, "env", "-i", path, "HOME=/root", *kept]

    def _has_booted(self) -> bool:
        if self._process is None:
            return False
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        found = children.read_text().split()
        if not found:
            return False
        self._pid = int(found[0])
        if Path(f"/proc/{self._pid}/comm").read_text().strip() != "systemd":
            return False
        state = self.attempt("systemctl", "is-system-running").stdout.strip()
        return state in {"running", "degraded"}

    def _until(self, condition: Callable[[], bool], failure: str) -> None:
        deadline_s = time.monotonic() + START_LIMIT_S
        while True:
            with suppress(FileNotFoundError, ProcessLookupError):
                if condition():
                    return
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > deadline_s:
                raise MachineError(f"{failure}:\n{self.console()[-4000:]}")
            time.sleep(0.2)


@contextmanager
def machine() -> Iterator[Machine]:
    """Have one booted; nothing is left of it afterwards."""
    made = Machine()
    try:
        made.start()
        yield made
    finally:
        made.remove()


def _make_groups(name: str) -> list[Path]:
    """Make a control group in each hierarchy, as roots of what the machine will see of them."""
    made = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        if after.split()[0] not in {"cgroup", "cgroup2"}:
            continue
        parent = Path(before.split()[4])
        group = parent / name
        group.mkdir()
        for setting in ("cpuset.cpus", "cpuset.mems"):
            if (parent / setting).exists() and (group / setting).exists():
                (group / setting).write_text((parent / setting).read_text())
        made.append(group)
    return made


def _is_removed(group: Path) -> bool:
    for path in sorted(group.rglob("*"), reverse=True):
        if path.is_dir():
            with suppress(OSError):
                path.rmdir()
    with suppress(OSError):
        group.rmdir()
    return not group.exists()


def _run(*command: str) -> None:
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    subprocess.run(command, check=True, capture_output=True, env={"PATH": path})
