"""One attempt, made in a process of its own: a filter may kill it, and it may hang."""

import contextlib
import errno
import os
import select
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, NoReturn

TIMEOUT_S: Final = 5.0
HOW_LIMIT_BYTES: Final = 400

REFUSALS: Final = frozenset(
    {errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EROFS, errno.ENOENT, errno.EAFNOSUPPORT,
     errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT, errno.ENETUNREACH, errno.ENOTDIR, errno.ENXIO,
     errno.ENODEV, errno.EADDRNOTAVAIL, errno.ECONNREFUSED, errno.ENETDOWN, errno.EHOSTUNREACH}
)  # fmt: skip
"""Errors that say no. Others (EINVAL, EFAULT, EBADF) come from behind the door."""


class RefusedError(Exception):
    """The box held; the message tells by what."""


Act = Callable[[], str]


@dataclass(frozen=True, slots=True)
class Attempt:
    """Something that must not work.

    `act` tries it: it raises `OSError` or `RefusedError` where it is held back, and returns what it
    got at where it is not. `is_ended_by_kill` is for one that a limit of the box ends with SIGKILL.
    """

    name: str
    act: Act
    timeout_s: float = TIMEOUT_S
    is_ended_by_kill: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of an attempt."""

    name: str
    result: Literal["refused", "open"]
    how: str


def make(attempt: Attempt) -> Finding:
    """Make the attempt in a child process; return what became of it.

    What is not understood counts as open.
    """
    reader, writer = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _act(attempt.act, writer)
    os.close(writer)
    try:
        said = _read(reader, timeout_s=attempt.timeout_s)
    finally:
        os.close(reader)
    if said is None:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return Finding(attempt.name, "open", f"did not end within {attempt.timeout_s:g} s")
    _, status = os.waitpid(child, 0)
    return _finding(attempt, said, status)


def _act(act: Act, writer: int) -> NoReturn:
    try:
        said = "open " + act()
    except RefusedError as held:
        said = f"refused {held}"
    except OSError as error:
        code = error.errno or 0
        result = "refused" if code in REFUSALS else "open"
        said = f"{result} {errno.errorcode.get(code, code)}"
    except BaseException as error:  # noqa: BLE001 - whatever it is, it must not leave the child
        said = f"open {type(error).__name__}: {error}"
    with contextlib.suppress(OSError):
        os.write(writer, said.encode(errors="replace")[:HOW_LIMIT_BYTES])
    os._exit(0)


def _read(reader: int, *, timeout_s: float) -> str | None:
    """Return what the child said until it ended, or None if it does not end."""
    said = b""
    while True:
        ready, _, _ = select.select([reader], [], [], timeout_s)
        if not ready:
            return None
        chunk = os.read(reader, HOW_LIMIT_BYTES)
        if not chunk:
            return said.decode(errors="replace")
        said += chunk


def _finding(attempt: Attempt, said: str, status: int) -> Finding:
    if os.WIFSIGNALED(status):
        ended_by = os.WTERMSIG(status)
        if ended_by == signal.SIGSYS:
            return Finding(attempt.name, "refused", "killed by the system-call filter")
        if ended_by == signal.SIGKILL and attempt.is_ended_by_kill:
            return Finding(attempt.name, "refused", "killed at the limit")
        return Finding(attempt.name, "open", f"ended by {signal.Signals(ended_by).name}")
    result, _, how = said.partition(" ")
    if result == "refused":
        return Finding(attempt.name, "refused", how)
    return Finding(attempt.name, "open", how or "it said nothing")
