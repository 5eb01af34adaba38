"""Which endings a storm explains: each that it does not is found."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.chaos.disturbances import KINDS
from tests.chaos.endings import FORESEEN, TAKEN_UP, struck_at_work, unforeseen, untold
from tests.chaos.hits import Hit

from hakoiri.host.conversations.failures import CODES
from hakoiri.host.conversations.recovery import RECOVERY_LIMIT
from hakoiri.host.conversations.turn_history import RESTART_LIMIT, RESTARTED

AT = datetime(2026, 1, 1, 10, tzinfo=UTC)
BOX = "c0123456789abcdef"


def at(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


def turn(*events: tuple[float, str, dict[str, Any]], number: int = 1) -> list[dict[str, Any]]:
    return [
        {"id": place, "turn": number, "type": kind, "data": data, "time": at(second).isoformat()}
        for place, (second, kind, data) in enumerate(events, 1)
    ]


def ended(code: str, *between: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
    steps = ((2.0, kind, data) for kind, data in between)
    return turn((0, "user_message", {"text": "x"}), *steps, (9, "error", {"code": code}))


RECOVERED: tuple[str, dict[str, Any]] = ("container_recovered", {"generation": 2})
WAS_TAKEN_UP: tuple[str, dict[str, Any]] = ("notice", {"code": TAKEN_UP})


def found(
    log: list[dict[str, Any]],
    *kinds: str,
    second: float = 1,
    interrupted: frozenset[int] = frozenset(),
    is_chat: bool = False,
) -> list[str]:
    hits = [Hit(kind, at(second), at(second)) for kind in kinds]
    return list(unforeseen(log, hits=hits, interrupted=interrupted, is_chat=is_chat))


ALL = tuple(kind.name for kind in KINDS)


def test_the_limits_are_those_of_the_product() -> None:
    assert [*found(ended("container-lost", *[RECOVERED] * RECOVERY_LIMIT), *ALL)] == []
    assert [*found(ended("server-restarted", *[WAS_TAKEN_UP] * RESTART_LIMIT), *ALL)] == []
    assert RESTARTED.code == TAKEN_UP


@pytest.mark.parametrize("code", [*sorted(CODES - FORESEEN.keys() - {"interrupted"}), "unheard-of"])
def test_what_is_a_fault_is_one_whatever_was_struck(code: str) -> None:
    (said,) = found(ended(code, RECOVERED, RECOVERED), *ALL)
    assert "no strike is a reason" in said


def test_an_agent_that_breaks_the_protocol_or_is_silent_is_a_fault() -> None:
    assert not {"agent-protocol", "agent-silent", "internal", "record-failed"} & FORESEEN.keys()


@pytest.mark.parametrize("code", sorted(FORESEEN))
def test_an_ending_needs_a_strike_that_is_a_reason_for_it(code: str) -> None:
    enough = [RECOVERED] * RECOVERY_LIMIT + [WAS_TAKEN_UP] * RESTART_LIMIT
    log = ended(code, *enough)
    reasons = {kind for kind in ALL if kind.startswith(FORESEEN[code])}
    assert reasons
    assert reasons != set(ALL)
    for kind in ALL:
        assert (found(log, kind) == []) == (kind in reasons), kind
    assert found(log, *reasons, second=-3600) != [], "long before"
    assert found(log, *reasons, second=10) != [], "after it"


@pytest.mark.parametrize("recoveries", range(RECOVERY_LIMIT))
def test_a_lost_container_has_to_be_replaced_twice_before_a_turn_is_given_up(
    recoveries: int,
) -> None:
    (said,) = found(ended("container-lost", *[RECOVERED] * recoveries), *ALL)
    assert f"after being taken up {recoveries} times" in said


def test_a_turn_that_is_taken_up_too_often_is_found() -> None:
    often = ended("container-lost", *[RECOVERED] * (RECOVERY_LIMIT + 1))
    assert len(found(often, *ALL)) == 1
    with_a_restart = ended("container-lost", WAS_TAKEN_UP, *[RECOVERED] * (RECOVERY_LIMIT + 1))
    assert found(with_a_restart, *ALL) == []


def test_a_turn_is_closed_after_restarts_alone_and_a_chat_after_one() -> None:
    assert found(ended("server-restarted", WAS_TAKEN_UP), *ALL) != []
    assert found(ended("server-restarted"), *ALL, is_chat=True) == []


def test_only_a_user_interrupts() -> None:
    assert found(ended("interrupted"), *ALL) != []
    assert found(ended("interrupted"), interrupted=frozenset({1})) == []


WORK = (
    (0.0, "user_message", {"text": "x"}),
    (1.0, "turn_started", {"container": BOX, "generation": 1}),
    (2.0, "tool_use", {"name": "Bash"}),
)
KILLED = [Hit("agent", at(3), at(3), (BOX,))]


def test_a_turn_whose_container_died_under_its_tool_has_to_tell() -> None:
    silent = turn(*WORK, (8, "tool_result", {"text": "x"}), (9, "result", {"text": "done"}))
    (said,) = untold(silent, KILLED)
    assert BOX in said
    told = turn(*WORK, (7, *RECOVERED), (9, "result", {"text": "done"}))
    assert list(untold(told, KILLED)) == []
    assert len(struck_at_work(told, KILLED)) == 1
    given_up = turn(*WORK, (9, "error", {"code": "interrupted"}))
    assert list(untold(given_up, KILLED)) == []


@pytest.mark.parametrize(
    ("rest", "hits"),
    [
        ((), [Hit("agent", at(3), at(3), ("c1111111111111111",))]),
        ((), [Hit("agent's CLI", at(3), at(3), (BOX,))]),
        ((), [*KILLED, Hit("server stands still", at(1), at(4))]),
        (((2.5, "tool_result", {"text": "x"}),), KILLED),
        (((3.5, "tool_result", {"text": "x"}),), KILLED),
        (((2.5, *RECOVERED),), KILLED),
    ],
    ids=["another's", "no container's", "deaf", "tool over", "tool over soon", "another since"],
)
def test_where_it_is_not_sure_nothing_is_said(
    rest: tuple[tuple[float, str, dict[str, Any]], ...], hits: list[Hit]
) -> None:
    log = turn(*WORK, *rest, (9, "result", {"text": "done"}))
    assert struck_at_work(log, hits) == []
    assert list(untold(log, hits)) == []
