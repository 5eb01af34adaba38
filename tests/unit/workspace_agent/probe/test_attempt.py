import errno
import os
import signal
import time
from pathlib import Path

import pytest

from hakoiri.workspace_agent.probe.attempt import (
    Act,
    Attempt,
    Finding,
    RefusedError,
    make,
    make_all,
)


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
        # somebody answered
        (fail_with(errno.ECONNREFUSED), "open", "ECONNREFUSED"),
        # there is no way; that is for those who try addresses to say
        (fail_with(errno.ENETUNREACH), "open", "ENETUNREACH"),
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


def hang() -> str:
    while True:
        time.sleep(60)


def test_an_attempt_that_hangs_is_ended_and_counts_as_open() -> None:
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


def test_what_could_not_be_looked_at_is_open_where_no_error_is_a_refusal() -> None:
    attempt = Attempt("look", fail_with(errno.EACCES), refusals=frozenset())
    assert make(attempt) == Finding("look", "open", "EACCES")


def test_what_an_attempt_says_may_have_any_signs() -> None:
    assert make(Attempt("odd", lambda: "a\nb\0\udcff\u2028")).how == "a\nb\0\udcff\u2028"


def number_of_the_process() -> str:
    raise RefusedError(str(os.getpid()))


def test_attempts_that_are_refused_share_a_process() -> None:
    found = make_all([Attempt(f"try {number}", number_of_the_process) for number in range(3)])
    assert [one.name for one in found] == ["try 0", "try 1", "try 2"]
    assert len({one.how for one in found}) == 1
    assert found[0].how != str(os.getpid())


@pytest.mark.parametrize(
    "upset",
    [
        Attempt("upset", lambda: "got through"),
        Attempt("upset", end_by(signal.SIGSYS)),
        Attempt("upset", lambda: os._exit(0)),
        Attempt("upset", hang, timeout_s=0.05),
    ],
    ids=["open", "killed", "gone", "hanging"],
)
def test_after_one_that_is_not_held_the_next_has_a_new_process(upset: Attempt) -> None:
    told = Attempt("told", number_of_the_process)
    before, after = children(), make_all([told, told, upset, told, told])
    assert [one.name for one in after] == ["told", "told", "upset", "told", "told"]
    assert [one.result for one in after[3:]] == ["refused", "refused"]
    assert after[0].how == after[1].how != after[3].how == after[4].how
    assert children() <= before


def test_no_attempts_no_findings() -> None:
    assert make_all([]) == []


def test_several_at_once_are_told_in_their_order() -> None:
    attempts = [Attempt(f"try {number}", number_of_the_process) for number in range(11)]
    attempts[4] = Attempt("try 4", end_by(signal.SIGSYS))
    attempts[7] = Attempt("try 7", lambda: "got through")
    found = make_all(attempts, at_once=4)
    assert [one.name for one in found] == [one.name for one in attempts]
    assert [one.how for one in found if one.name == "try 4"] == ["killed by the system-call filter"]
    assert [one.name for one in found if one.result == "open"] == ["try 7"]
    others = [one.how for one in found if one.name not in {"try 4", "try 7"}]
    # lanes of 0, 4, 8; of 1, 5, 9; of 2, 6, 10; of 3, 7: two of them go on in a new process
    assert len(set(others)) == 5


def test_one_that_hangs_holds_up_no_other_lane() -> None:
    reader, writer = os.pipe()

    def wait() -> str:
        os.read(reader, 1)
        raise RefusedError("was let go")

    def let_go() -> str:
        os.write(writer, b"x")
        raise RefusedError("lets go")

    before = children()
    found = make_all([Attempt("wait", wait), Attempt("let go", let_go)], at_once=2)
    assert [one.how for one in found] == ["was let go", "lets go"]
    os.close(reader)
    os.close(writer)
    assert children() <= before


def test_fewer_attempts_than_lanes() -> None:
    assert [one.how for one in make_all([Attempt("one", refuse)], at_once=4)] == [
        "the door is shut"
    ]
