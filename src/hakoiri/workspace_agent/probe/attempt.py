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


def make_all(attempts: Sequence[Attempt], *, at_once: int = 1) -> list[Finding]:
    """Make the attempts, so many `at_once`; return what became of each, in their order.

    A child process makes one after the other until one gets through, hangs or is killed; the next
    child begins with what that one may have changed undone. What is not understood counts as open.
    """
    lanes = [_Lane(attempts[first::at_once]) for first in range(min(at_once, len(attempts)))]
    try:
        while busy := [lane for lane in lanes if lane.is_busy]:
            wait_s = max(0.0, min(lane.until_s for lane in busy) - time.monotonic())
            ready, _, _ = select.select(busy, [], [], wait_s)
            for lane in busy:
                lane.go_on(has_said=lane in ready)
    finally:
        for lane in lanes:
            lane.end()
    findings = [iter(lane.findings) for lane in lanes]
    return [next(findings[number % at_once]) for number in range(len(attempts))]


class _Lane:
    """Attempts that are made one after the other, by one child at a time."""

    def __init__(self, attempts: Sequence[Attempt]) -> None:
        self.findings: list[Finding] = []
        self.until_s = 0.0
        self._attempts = attempts
        self._child = 0
        self._reader = -1
        self._said = b""
        self._begin()

    @property
    def is_busy(self) -> bool:
        """Whether a child is at it."""
        return self._child != 0

    def fileno(self) -> int:
        """Return where the child is heard."""
        return self._reader

    def go_on(self, *, has_said: bool) -> None:
        """Take what the child has said, or that it has ended, or that its time is over."""
        if has_said:
            chunk = os.read(self._reader, CHUNK_BYTES)
            if not chunk:
                self._found(_of_a_dead_child(self._attempt, self._wait()))
                return
            self._said += chunk
            while b"\n" in self._said and self.is_busy:
                line, _, self._said = self._said.partition(b"\n")
                self._found(_as_it_said(self._attempt, line))
        elif time.monotonic() >= self.until_s:
            timeout_s = self._attempt.timeout_s
            finding = Finding(self._attempt.name, "open", f"did not end within {timeout_s:g} s")
            self.end()
            self._found(finding)

    def end(self) -> None:
        """End the child, if there is one."""
        if self.is_busy:
            os.kill(self._child, signal.SIGKILL)
            self._wait()

    @property
    def _attempt(self) -> Attempt:
        return self._attempts[len(self.findings)]

    def _found(self, finding: Finding) -> None:
        self.findings.append(finding)
        if finding.result == "open" or len(self.findings) == len(self._attempts):
            self.end()
        if len(self.findings) == len(self._attempts):
            return
        if self.is_busy:
            self.until_s = time.monotonic() + self._attempt.timeout_s
        else:
            self._begin()

    def _begin(self) -> None:
        """Have a new child make what is left."""
        self._reader, writer = os.pipe()
        self._said = b""
        sys.stdout.flush()
        self._child = os.fork()
        if self._child == 0:
            os.close(self._reader)
            _act(self._attempts[len(self.findings) :], writer)
        os.close(writer)
        self.until_s = time.monotonic() + self._attempt.timeout_s

    def _wait(self) -> int:
        _, status = os.waitpid(self._child, 0)
        os.close(self._reader)
        self._child = 0
        return status


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
