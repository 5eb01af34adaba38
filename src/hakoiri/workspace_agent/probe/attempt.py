"""Attempts, made in a process of their own: a filter may kill it, and it may hang."""

import contextlib
import errno
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NoReturn

TIMEOUT_S: Final = 5.0
HOW_LIMIT_CHARS: Final = 400
CHUNK_BYTES: Final = 65_536

REFUSALS: Final = frozenset(
    {errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EROFS, errno.ENOENT, errno.EAFNOSUPPORT,
     errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT, errno.ENOTDIR, errno.ENXIO, errno.ENODEV}
)  # fmt: skip
"""Errors that say no. Others (EINVAL, EFAULT, EBADF, ECONNREFUSED) come from behind the door."""

Result = Literal["refused", "open"]


class RefusedError(Exception):
    """The box held; the message tells by what."""


Act = Callable[[], str]


@dataclass(frozen=True, slots=True)
class Attempt:
    """Something that must not work.

    `act` tries it: it raises `OSError` or `RefusedError` where it is held back, and returns what it
    got at where it is not. Of `OSError`s only `refusals` hold it back: none, where it must first
    look at something, and what it could not look at is not known. `is_ended_by_kill` is for one
    that a limit of the box ends with SIGKILL.
    """

    name: str
    act: Act
    timeout_s: float = TIMEOUT_S
    is_ended_by_kill: bool = False
    refusals: frozenset[int] = REFUSALS


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of an attempt."""

    name: str
    result: Result
    how: str


def make(attempt: Attempt) -> Finding:
    """Make one attempt in a child process of its own; return what became of it."""
    return make_all([attempt])[0]


def make_all(attempts: Sequence[Attempt]) -> list[Finding]:
    """Make the attempts one after the other; return what became of each, in their order.

    A child process makes them until one gets through, hangs or is killed; the next child begins
    with what that one may have changed undone. What is not understood counts as open.
    """
    findings: list[Finding] = []
    while len(findings) < len(attempts):
        findings += _make_in_a_child(attempts[len(findings) :])
    return findings


def _make_in_a_child(attempts: Sequence[Attempt]) -> list[Finding]:
    """Return what became of the first attempt, and of those after it that the child came to."""
    reader, writer = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _act(attempts, writer)
    os.close(writer)
    said = _Said(reader)
    findings: list[Finding] = []
    try:
        for attempt in attempts:
            line = said.line(timeout_s=attempt.timeout_s)
            if line is None:
                findings.append(
                    Finding(attempt.name, "open", f"did not end within {attempt.timeout_s:g} s")
                )
                return findings
            if not line:
                _, status = os.waitpid(child, 0)
                child = 0
                findings.append(_of_a_dead_child(attempt, status))
                return findings
            findings.append(_as_it_said(attempt, line))
            if findings[-1].result == "open":
                return findings
    finally:
        os.close(reader)
        if child:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    return findings


def _act(attempts: Sequence[Attempt], writer: int) -> NoReturn:
    for attempt in attempts:
        result, how = _outcome(attempt)
        with contextlib.suppress(OSError):
            said = json.dumps([result, how[:HOW_LIMIT_CHARS]])
            os.write(writer, said.encode("ascii") + b"\n")
        if result == "open":
            break
    os._exit(0)


def _outcome(attempt: Attempt) -> tuple[Result, str]:
    try:
        return "open", attempt.act()
    except RefusedError as held:
        return "refused", str(held)
    except OSError as error:
        code = error.errno or 0
        held_back = code in attempt.refusals
        return "refused" if held_back else "open", errno.errorcode.get(code, str(code))
    except BaseException as error:  # noqa: BLE001 - whatever it is, it must not leave the child
        return "open", f"{type(error).__name__}: {error}"


class _Said:
    """What a child says, line by line."""

    def __init__(self, reader: int) -> None:
        self._reader = reader
        self._rest = b""

    def line(self, *, timeout_s: float) -> bytes | None:
        """Return the next line, an empty one when it has ended, None if nothing comes in time."""
        until_s = time.monotonic() + timeout_s
        while b"\n" not in self._rest:
            left_s = max(0.0, until_s - time.monotonic())
            ready, _, _ = select.select([self._reader], [], [], left_s)
            if not ready:
                return None
            chunk = os.read(self._reader, CHUNK_BYTES)
            if not chunk:
                return b""
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        return line


def _as_it_said(attempt: Attempt, line: bytes) -> Finding:
    try:
        result, how = json.loads(line)
    except ValueError:
        return Finding(attempt.name, "open", "what it said is not understood")
    return Finding(attempt.name, "refused" if result == "refused" else "open", str(how))


def _of_a_dead_child(attempt: Attempt, status: int) -> Finding:
    if os.WIFSIGNALED(status):
        ended_by = os.WTERMSIG(status)
        if ended_by == signal.SIGSYS:
            return Finding(attempt.name, "refused", "killed by the system-call filter")
        if ended_by == signal.SIGKILL and attempt.is_ended_by_kill:
            return Finding(attempt.name, "refused", "killed at the limit")
        return Finding(attempt.name, "open", f"ended by {signal.Signals(ended_by).name}")
    return Finding(attempt.name, "open", "it said nothing")
