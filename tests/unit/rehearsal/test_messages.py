import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.rehearsal.messages import Cue, RequestError, count_tokens, cue_of, read_request

REMINDER = {"type": "text", "text": "<system-reminder>\nuse </b> care\n</system-reminder>"}


def user(*content: Any) -> dict[str, Any]:
    blocks = [{"type": "text", "text": c} if isinstance(c, str) else c for c in content]
    return {"role": "user", "content": blocks}


def answer(*content: Any) -> dict[str, Any]:
    return {**user(*content), "role": "assistant"}


def result(content: Any, tool_use_id: str = "t1") -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": tool_use_id, "content": content}


CALL = {"type": "tool_use", "id": "t1", "name": "Bash", "input": {}}


def cue(*messages: dict[str, Any], **fields: Any) -> Cue:
    body = {"model": "m", "max_tokens": 1, "messages": list(messages), **fields}
    return cue_of(read_request(json.dumps(body).encode()))


def test_reminders_of_the_cli_are_not_what_the_user_said() -> None:
    seen = cue(
        user(
            REMINDER, "Hello", {"type": "text", "text": "<system-reminder>a</system-reminder> you"}
        ),
        {"role": "system", "content": "# Environment"},
    )
    assert seen.user_text == "Hello\nyou"
    assert seen.reply_number == 0


def test_a_user_message_may_be_a_plain_string() -> None:
    assert cue({"role": "user", "content": "Hi"}).user_text == "Hi"


def test_each_answer_since_the_user_spoke_moves_to_the_next_reply() -> None:
    history = [user("one"), answer(CALL), user(result("ok")), answer("done"), user("two")]
    assert cue(*history).reply_number == 0
    assert cue(*history[:3]).reply_number == 1
    assert cue(*history, answer(CALL), user(result("x"), REMINDER)).reply_number == 1


def test_one_answer_kept_in_several_entries_counts_once() -> None:
    system = {"role": "system", "content": "note"}
    seen = cue(user("one"), answer("I look"), system, answer(CALL), user(result("ok")))
    assert seen.reply_number == 1


def test_a_text_beside_a_tool_result_is_a_new_user_text() -> None:
    seen = cue(user("one"), answer(CALL), user(result("ok"), "stop that"))
    assert (seen.user_text, seen.reply_number) == ("stop that", 0)


def test_the_mark_of_an_interrupt_is_not_a_user_text() -> None:
    mark = "[Request interrupted by user for tool use]"
    assert cue(user("one"), answer(CALL), user(result("ok"), mark)).user_text == "one"


@pytest.mark.parametrize(
    "nothing", ["No response requested.", [{"type": "text", "text": "No response requested."}]]
)
def test_a_turn_that_broke_off_goes_on_with_the_reply_it_had_not_got(nothing: Any) -> None:
    filler = {"role": "assistant", "content": nothing}
    cut = [user("one"), answer("I look", CALL), user(result("interrupted")), filler]
    seen = cue(*cut, user(REMINDER))
    assert (seen.user_text, seen.reply_number) == ("one", 1)
    assert cue(user("one"), filler, user(REMINDER)).reply_number == 0


def test_a_resumed_history_still_knows_its_first_text() -> None:
    seen = cue(user(REMINDER, "my name is Aki"), answer("hello"), user("who am I?"))
    assert (seen.first_user_text, seen.user_text) == ("my name is Aki", "who am I?")
    assert seen.user_texts == ("my name is Aki", "who am I?")


def test_the_last_tool_result_is_the_latest_of_all() -> None:
    blocks = [{"type": "text", "text": "b"}, {"type": "image"}, {"type": "text", "text": "c"}]
    seen = cue(user("x"), answer(CALL), user(result("a")), answer(CALL), user(result(blocks, "t2")))
    assert seen.last_tool_result == "b\nc"


def test_retries_have_one_fingerprint_and_other_requests_another() -> None:
    first = cue(user("one"))
    marked = {"type": "text", "text": "one", "cache_control": {"type": "ephemeral"}}
    assert cue(user(marked), stream=True).fingerprint == first.fingerprint
    others = [
        cue(user("two")),
        cue(user("one"), answer(CALL), user(result("ok"))),
        cue(user("one"), tools=[{"name": "Bash"}]),
        cue(user("one"), metadata={"user_id": "another session"}),
        cue(user("one"), answer("done"), user("one")),
    ]
    assert len({first.fingerprint, *(other.fingerprint for other in others)}) == 6


def test_a_request_says_whether_it_offers_tools() -> None:
    assert cue(user("x"), tools=[{"name": "Bash"}]).has_tools
    assert not cue(user("x"), tools=[]).has_tools


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "body"),
        (b"[]", "body"),
        (b'{"messages": []}', "messages"),
        (b'{"messages": [{"role": "tool", "content": ""}]}', "messages.0.role"),
        (b'{"messages": [{"role": "user", "content": 1}]}', "messages.0.content"),
        (b"[" * 100_000, "body"),
        (b'{"messages": [{"role": "user", "content": "\\ud800"}]}', "body"),
    ],
)
def test_what_is_no_request_is_refused_with_its_field(body: bytes, field: str) -> None:
    with pytest.raises(RequestError, match=field):
        read_request(body)


BLOCKS = st.recursive(
    st.none() | st.booleans() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "text", "content"]), inner, max_size=3)
    ),
    max_leaves=8,
)
KINDS = st.sampled_from(["text", "tool_result", "tool_use", "image"])


@given(
    st.lists(st.tuples(st.sampled_from(["user", "assistant", "system"]), KINDS, BLOCKS), max_size=5)
)
def test_blocks_of_any_shape_are_read_without_a_crash(entries: list[tuple[str, str, Any]]) -> None:
    messages = [
        {"role": role, "content": [{"type": kind, "text": value, "content": value}]}
        for role, kind, value in entries
    ]
    assert cue(user("x"), *messages).reply_number >= 0


def test_tokens_are_counted_the_same_each_time() -> None:
    assert count_tokens(b"") == 1
    assert count_tokens(b"x" * 400) == 100
