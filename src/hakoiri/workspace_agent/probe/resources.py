"""Using up what the box shares with others: each must end at a limit of the box's own.

These take seconds and hurt whatever else runs in the box, so they are for a box of the probe
alone. Under gVisor a box that is out of memory ends as a whole, and with it the probe: what uses up
memory, processes included, is not tried there from inside.
"""

import contextlib
import errno
import mmap
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Final

from hakoiri.workspace_agent.probe.attempt import Attempt, RefusedError

MIB: Final = 1024 * 1024
PROCESSES_TRIED: Final = 20_000
FILES_TRIED: Final = 100_000
MEMORY_TRIED_MIB: Final = 64 * 1024
FILL_TRIED_MIB: Final = 16 * 1024
INODES_TRIED: Final = 10_000
DISK_LIMIT_BYTES: Final = 64 * 1024**3
"""A workspace whose file system claims more has no quota: it is the host's own disk."""

_OOM_SCORE: Final = Path("/proc/self/oom_score_adj")
_NAME: Final = ".hakoiri-probe"


def resource_attempts(runtime: str) -> list[Attempt]:
    """Return an attempt for each resource that can be used up from inside under `runtime`."""
    return [
        *(_memory_attempts() if runtime == "runc" else []),
        Attempt("file descriptors without end", _file_descriptors, timeout_s=20),
        _filling("/run/hakoiri/agent"),
        Attempt("inodes of /run/hakoiri/agent", _inodes, timeout_s=20),
        Attempt("disk of the host by /workspace", _quota(Path("/workspace"))),
        Attempt("disk of the host by the home", _quota(Path.home())),
    ]


def _memory_attempts() -> list[Attempt]:
    in_memory = ("/tmp", "/dev/shm")  # noqa: S108 - the box's own
    return [
        Attempt("fork bomb", _fork_bomb, timeout_s=60),
        Attempt("memory bomb", _memory_bomb, timeout_s=60, is_ended_by_kill=True),
        *(_filling(path) for path in in_memory),
    ]


def _filling(path: str) -> Attempt:
    return Attempt(f"fill {path}", _filler(Path(path)), timeout_s=60, is_ended_by_kill=True)


def _go_first() -> None:
    """Let the kernel take this process before any other of the box."""
    with contextlib.suppress(OSError):
        _OOM_SCORE.write_text("1000", encoding="ascii")


def _fork_bomb() -> str:
    children: list[int] = []
    try:
        while len(children) < PROCESSES_TRIED:
            child = os.fork()
            if child == 0:
                signal.pause()
                os._exit(0)
            children.append(child)
    except BlockingIOError as error:
        raise RefusedError(f"no more after {len(children)} processes") from error
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
        for child in children:
            os.waitpid(child, 0)
    return f"{len(children)} processes"


def _memory_bomb() -> str:
    _go_first()
    held = []
    for taken_mib in range(0, MEMORY_TRIED_MIB, 16):
        try:
            block = mmap.mmap(-1, 16 * MIB)
        except OSError as error:
            if error.errno == errno.ENOMEM:
                raise RefusedError(f"no more after {taken_mib} MiB") from error
            raise
        block.write(b"\x01" * (16 * MIB))
        held.append(block)
    return f"{MEMORY_TRIED_MIB} MiB"


def _file_descriptors() -> str:
    opened = 0
    try:
        while opened < FILES_TRIED:
            os.open("/dev/null", os.O_RDONLY)
            opened += 1
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE) and opened < FILES_TRIED:
            raise RefusedError(f"no more after {opened}") from error
        raise
    return f"{opened} descriptors"


def _filler(directory: Path) -> Callable[[], str]:
    def act() -> str:
        _go_first()
        path = directory / _NAME
        block = b"\x01" * MIB
        written = 0
        try:
            with path.open("wb", buffering=0) as file:
                while written < FILL_TRIED_MIB * MIB:
                    written += file.write(block)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise RefusedError(f"full after {written // 1024} KiB") from error
            raise
        finally:
            path.unlink(missing_ok=True)
        return f"{FILL_TRIED_MIB} MiB"

    return act


def _inodes() -> str:
    directory = Path("/run/hakoiri/agent")
    made: list[Path] = []
    try:
        while len(made) < INODES_TRIED:
            path = directory / f"{_NAME}-{len(made)}"
            path.touch()
            made.append(path)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise RefusedError(f"no more after {len(made)}") from error
        raise
    finally:
        for path in made:
            path.unlink()
    return f"{len(made)} files"


def _quota(directory: Path) -> Callable[[], str]:
    def act() -> str:
        about = os.statvfs(directory)
        size_bytes = about.f_blocks * about.f_frsize
        if size_bytes > DISK_LIMIT_BYTES:
            return f"no quota: {size_bytes // 1024**3} GiB and {about.f_files} inodes"
        raise RefusedError(f"{size_bytes // MIB} MiB and {about.f_files} inodes of its own")

    return act
