import errno
import os
import signal
import time
from pathlib import Path

import pytest

from hakoiri.workspace_agent.probe.attempt import Act, Attempt, Finding, RefusedError, make


def end_by(number: int) -> Act:
    def act() -> str:
        os.kill(os.getpid(), number)
        return "still here"

    return act


def fail_with(code: int) -> Act:
    def act() -> str:
        raise OSError(code, os.strerror(code))

    return act


def refuse() -> str:
    raise RefusedError("the door is shut")


def break_down() -> str:
    raise ZeroDivisionError("a bug")


@pytest.mark.parametrize(
    ("act", "result", "how"),
    [
        (lambda: "a key", "open", "a key"),
        (refuse, "refused", "the door is shut"),
        (fail_with(errno.EPERM), "refused", "EPERM"),
        (fail_with(errno.EROFS), "refused", "EROFS"),
        (fail_with(errno.ENOSYS), "refused", "ENOSYS"),
        (fail_with(errno.EINVAL), "open", "EINVAL"),
        (fail_with(errno.EFAULT), "open", "EFAULT"),
        (end_by(signal.SIGSYS), "refused", "killed by the system-call filter"),
        (end_by(signal.SIGKILL), "open", "ended by SIGKILL"),
        (end_by(signal.SIGTERM), "open", "ended by SIGTERM"),
        (break_down, "open", "ZeroDivisionError: a bug"),
        (lambda: os._exit(0), "open", "it said nothing"),
    ],
)
def test_what_becomes_of_an_attempt(act: Act, result: str, how: str) -> None:
    found = make(Attempt("try", act))
    assert (found.name, found.result, found.how) == ("try", result, how)


def test_a_kill_at_a_limit_is_a_refusal_where_one_is_expected() -> None:
    attempt = Attempt("bomb", end_by(signal.SIGKILL), is_ended_by_kill=True)
    assert make(attempt) == Finding("bomb", "refused", "killed at the limit")


def children() -> set[str]:
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def test_an_attempt_that_hangs_is_ended_and_counts_as_open() -> None:
    def hang() -> str:
        while True:
            time.sleep(60)

    before = children()
    found = make(Attempt("hang", hang, timeout_s=0.05))
    assert found == Finding("hang", "open", "did not end within 0.05 s")
    assert children() <= before


def test_what_an_attempt_says_is_bounded_and_stays_in_its_process() -> None:
    changed: list[int] = []

    def act() -> str:
        changed.append(1)
        return "x" * 10_000

    found = make(Attempt("long", act))
    assert found.how.startswith("xxx")
    assert len(found.how) < 500
    assert changed == []
