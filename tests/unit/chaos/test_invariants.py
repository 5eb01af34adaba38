"""Each invariant finds a violation that is planted, and none where there is none."""

import copy
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.chaos.hits import Hit
from tests.chaos.invariants import Violation, flat, judge, leftovers, struck, turns
from tests.chaos.promises import Promises, Sent, Wrote

from hakoiri.host.conversations.turn_history import TAKEN_OVER

Log = list[dict[str, Any]]


def event(number: int, turn: int, kind: str, **data: Any) -> dict[str, Any]:
    time = f"2026-01-01T10:00:{number:02}+00:00"
    return {"id": number, "turn": turn, "type": kind, "data": data, "time": time}


def good_log() -> Log:
    return [
        event(1, 1, "user_message", text="first"),
        event(2, 1, "turn_started", container="a", generation=1),
        event(3, 1, "tool_result", text="wrote-1\n"),
        event(4, 1, "file_synced", recovery_point="r"),
        event(5, 1, "result", text="done"),
        event(6, 2, "user_message", text="second"),
        event(7, 2, "error", code="container-start-failed", text="…"),
    ]


def good_promises() -> Promises:
    return Promises(
        "c-1",
        "shop",
        sent=[
            Sent("first", "acknowledged", turn=1, event=1),
            Sent("second", "unknown"),
            Sent("third", "refused"),
            Sent("fourth", "unknown"),
        ],
        files={"put": b"content", "removed": None, "doubted": b"old"},
        doubtful={"doubted"},
        wrote=[Wrote("turn", b"1\n", "wrote-1"), Wrote("never", b"2\n", "wrote-2")],
        seen=good_log()[:4],
    )


AT = datetime(2026, 1, 1, 10, 0, tzinfo=UTC)
HITS = [Hit("engine killed", AT, AT)]
STORED = {"put": b"content", "turn": b"1\n", "doubted": b"new", "other": b""}
TOLD = [["first"], ["first", "second"]]


def judged(
    log: Log | None = None,
    promises: Promises | None = None,
    stored: dict[str, bytes] | None = None,
    told: list[list[str]] | None = None,
) -> list[Violation]:
    return judge(
        log or good_log(),
        promises or good_promises(),
        stored=STORED if stored is None else stored,
        told=TOLD if told is None else told,
        hits=HITS,
    )


def test_where_all_is_well_nothing_is_found() -> None:
    assert judged() == []
    assert judge([], Promises("c-2", "shop"), stored={}, told=[]) == []


def drop(number: int) -> Callable[[Log], None]:
    def spoil(log: Log) -> None:
        log.remove(next(event for event in log if event["id"] == number))

    return spoil


def double(number: int) -> Callable[[Log], None]:
    def spoil(log: Log) -> None:
        place = next(i for i, event in enumerate(log) if event["id"] == number)
        log.insert(place + 1, copy.deepcopy(log[place]))
        for count, each in enumerate(log, 1):
            each["id"] = count

    return spoil


def change(number: int, **fields: Any) -> Callable[[Log], None]:
    def spoil(log: Log) -> None:
        log[number - 1] |= fields

    return spoil


SPOILT: dict[str, tuple[Callable[[Log], None], str]] = {
    "gap": (drop(4), "numbering"),
    "number twice": (change(2, id=3), "numbering"),
    "result twice": (double(5), "turns"),
    "error twice": (double(7), "turns"),
    "message twice": (double(1), "messages"),
    "no result": (change(5, type="text_delta"), "turns"),
    "no error": (change(7, type="text_delta"), "turns"),
    "no message": (change(6, type="text_delta"), "turns"),
    "turns mixed": (change(3, turn=2), "turns"),
    "turn left out": (change(7, turn=4), "turns"),
    "internal error": (change(7, data={"code": "internal"}), "unforeseen"),
    "other message": (change(1, data={"text": "other"}), "messages"),
    "refused message": (change(6, data={"text": "third"}), "messages"),
    "other data": (change(3, data={"text": "changed"}), "shown"),
}


@pytest.mark.parametrize(("spoil", "rule"), SPOILT.values(), ids=SPOILT)
def test_a_log_that_was_spoilt_is_found(spoil: Callable[[Log], None], rule: str) -> None:
    log = good_log()
    spoil(log)
    assert rule in {violation.rule for violation in judged(log)}


@pytest.mark.parametrize(
    "sent",
    [
        Sent("lost", "acknowledged", turn=3, event=8),
        Sent("first", "refused"),
        Sent("first", "acknowledged", turn=1, event=2),
    ],
)
def test_a_message_that_is_not_where_it_should_be_is_found(sent: Sent) -> None:
    promises = good_promises()
    promises.sent.append(sent)
    assert {violation.rule for violation in judged(promises=promises)} == {"messages"}


def test_an_event_that_a_reader_missed_or_saw_twice_is_found() -> None:
    for seen in (good_log()[1:], [*good_log()[:2], *good_log()[1:]]):
        promises = good_promises()
        promises.seen = seen
        assert {violation.rule for violation in judged(promises=promises)} == {"shown"}


def test_a_message_that_the_model_was_told_twice_is_found() -> None:
    (violation,) = judged(told=[["first", "second", "first"]])
    assert violation.rule == "told once"
    assert judged(told=[["a reminder", "a reminder"]]) == []


@pytest.mark.parametrize(
    ("path", "content"),
    [("put", None), ("put", b"older"), ("removed", b"back again"), ("turn", None)],
)
def test_a_file_that_is_lost_old_or_back_is_found(path: str, content: bytes | None) -> None:
    stored = {**STORED, path: content or b""}
    if content is None:
        del stored[path]
    (violation,) = judged(stored=stored)
    assert (violation.rule, violation.conversation) == ("files", "c-1")
    assert path in violation.detail


def test_a_file_that_was_told_to_be_lost_is_no_violation() -> None:
    log = good_log()
    log[3] |= {"type": "container_recovered", "data": {"lost_paths": ["put (changed)"]}}
    promises = good_promises()
    promises.seen = []
    assert judged(log, promises, {"turn": b"1\n"}) == []
    assert [v.rule for v in judged(log, promises, {"put": b"content"})] == ["files"]


def test_a_notice_between_two_turns_counts_to_the_next_which_may_never_come() -> None:
    notice = event(6, 2, "notice", code="restored", text="…")
    between = [*good_log()[:5], notice]
    assert [*turns(between)] == []
    second = [{**one, "id": one["id"] + 1} for one in good_log()[5:]]
    assert [*turns([*between, *second])] == []
    assert [*turns([*between, event(7, 3, "notice", code="restored", text="…")])] != []
    delta = event(6, 2, "text_delta", text="x")
    assert [*turns([*good_log()[:5], delta, *second])] != []


def test_files_of_a_workspace_that_was_taken_over_are_not_judged() -> None:
    log = good_log()
    log[3] |= {"type": "notice", "data": {"code": TAKEN_OVER.code, "text": "…"}}
    promises = good_promises()
    promises.seen = []
    assert judged(log, promises, {}) == []


def test_what_was_wrong_on_the_spot_is_told() -> None:
    promises = good_promises()
    promises.faults.append("the answer was 500")
    assert [violation.rule for violation in judged(promises=promises)] == ["on the spot"]


def test_a_kind_that_never_hit_anybody_is_found_in_a_long_storm() -> None:
    kinds = ("agent", "engine killed")
    assert [v.detail for v in struck(kinds, HITS, seconds=1800)] == [
        "agent: nobody was there, each time"
    ]
    assert struck(kinds, HITS, seconds=60) == []
    assert struck(("engine killed",), HITS, seconds=1800) == []


def test_a_process_that_is_missing_is_found() -> None:
    (violation,) = flat({"proxy": {"threads": 1}, "guard": {}}, {"guard": {}}, slack={"": 4})
    assert violation.detail == "proxy is not there"


def test_what_is_left_on_the_host_is_found_by_kind() -> None:
    assert leftovers({"mounts": [], "sockets": []}) == []
    (violation,) = leftovers({"mounts": ["/live/box/home"], "sockets": []})
    assert violation.detail == "mounts, after the stop: /live/box/home"


def test_a_process_that_holds_more_than_before_is_found() -> None:
    before = {"host": {"socket": 10, "threads": 3}}
    slack = {"": 2, "threads": 5}
    assert flat(before, {"host": {"socket": 12, "threads": 8}}, slack=slack) == []
    assert flat(before, {"host": {"threads": 9}}, slack=slack)
    (violation,) = flat(before, {"host": {"socket": 13}}, slack=slack)
    assert "host has 13 socket where it had 10" in violation.detail
    (violation,) = flat(before, {"host": {"pipe": 3}}, slack=slack)
    assert "pipe" in violation.detail
