import json
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.audit.chains import AT, lines

from hakoiri.audit.chain import (
    GENESIS,
    LINE_LIMIT_BYTES,
    ChainError,
    Position,
    follow,
    previous_of,
    seal,
    sequence_of,
)
from hakoiri.audit.event import AuditEvent, EventKind, HttpFacts, Stamp

TEXTS = st.text(max_size=40) | st.sampled_from(
    ['"sequence":9', '","previous_hash":"' + "0" * 64 + '"}}\n', "}}\n", "\\", "\u2028", "\x1b[2J"]
)


def test_a_chain_is_followed_from_its_first_line_to_its_last() -> None:
    made = lines(5)
    assert reduce(follow, made, Position()).sequence == 5
    assert previous_of(made[0]) == GENESIS


@given(st.dictionaries(TEXTS, TEXTS | st.lists(TEXTS, max_size=3)), TEXTS, TEXTS)
def test_whatever_an_event_says_a_line_stays_one_line_and_is_read_right(
    details: dict[str, str | list[str]], path: str, tenant: str
) -> None:
    event = AuditEvent(
        kind=EventKind.PROXY_REQUEST_ALLOWED,
        tenant=tenant,
        http=HttpFacts(path, path, 1, path, 200),
        details=details,
    )
    line = seal(event, Stamp("proxy", path, 12, AT), previous="a" * 64)
    assert line.isascii()
    assert line.count(b"\n") == 1
    assert len(line) <= LINE_LIMIT_BYTES
    assert (sequence_of(line), previous_of(line)) == (12, "a" * 64)
    document = json.loads(line)
    assert document["unmapped"]["previous_hash"] == "a" * 64
    assert document["metadata"]["sequence"] == 12


@given(st.data())
def test_a_line_changed_anywhere_is_found(data: st.DataObject) -> None:
    made = lines(4)
    number = data.draw(st.integers(0, 2))
    at = data.draw(st.integers(0, len(made[number]) - 2))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte not in (10, made[number][at])))
    line = bytearray(made[number])
    line[at] = other
    made[number] = bytes(line)
    with pytest.raises(ChainError, match=rf"line {number + 1}\b|line {number + 2}\b"):
        reduce(follow, made, Position())


@given(st.data())
def test_lines_dropped_repeated_or_moved_are_found(data: st.DataObject) -> None:
    made = lines(6)
    order = data.draw(st.lists(st.integers(0, 5), min_size=1, max_size=8))
    is_beginning = order == list(range(len(order)))
    try:
        reduce(follow, [made[i] for i in order], Position())
    except ChainError:
        assert not is_beginning
    else:
        assert is_beginning


def test_the_error_names_the_lines() -> None:
    made = lines(6)
    with pytest.raises(ChainError, match="lines 3 to 4 are missing before line 5"):
        reduce(follow, [*made[:2], made[4]], Position())
    with pytest.raises(ChainError, match="line 3 is missing before line 4"):
        reduce(follow, [*made[:2], made[3]], Position())
    with pytest.raises(ChainError, match="line 2 comes where line 3 belongs"):
        reduce(follow, [*made[:2], made[1]], Position())
    changed = made[1].replace(b'"turn":2', b'"turn":9')
    with pytest.raises(ChainError, match=r"line 3 .*: line 2 was changed"):
        reduce(follow, [made[0], changed, made[2]], Position())


def test_details_that_are_too_much_are_left_out_and_that_is_said() -> None:
    much = "\U0001f4a5" * 1000
    event = AuditEvent(
        kind=EventKind.PROXY_REQUEST_BLOCKED,
        tenant=much,
        workspace=much,
        container=much,
        conversation=much,
        actor=much,
        http=HttpFacts(much, much, 1, much, 0),
        details={f"d{number}": [much] * 40 for number in range(40)},
    )
    line = seal(event, Stamp("proxy", "1", 1, AT), previous=GENESIS)
    assert len(line) <= LINE_LIMIT_BYTES
    assert json.loads(line)["unmapped"]["details_cut"] == 40
    assert follow(Position(), line).sequence == 1


def test_a_chain_that_begins_with_another_is_found() -> None:
    other = lines(1, start=Position(0, "f" * 64))
    with pytest.raises(ChainError, match=r"line 1 .* it begins anew"):
        follow(Position(), other[0])


@pytest.mark.parametrize("line", [b"", b"\n", b"{}\n", b'{"metadata":{"sequence":x}}\n'])
def test_what_is_no_line_of_a_chain_is_refused(line: bytes) -> None:
    with pytest.raises(ChainError, match="not in the form"):
        follow(Position(), line)
