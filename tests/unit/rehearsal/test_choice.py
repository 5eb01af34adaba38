import shlex
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.rehearsal.choice import (
    AFTER_THE_LAST,
    MATCH_LIMIT_CHARS,
    NO_SCENE,
    VALUE_LIMIT_CHARS,
    choose,
)
from hakoiri.rehearsal.messages import Cue
from hakoiri.rehearsal.script import Script, read_script

CUE = Cue(
    user_text="Please LIST it",
    first_user_text="the first",
    user_texts=("the first", "Please LIST it"),
    last_tool_result="a.txt",
    reply_number=0,
    has_tools=True,
    fingerprint="f",
)


def script(text: str) -> Script:
    return read_script(text, source="x.yaml")


TWO = script(
    """
scenes:
  - replies: [{say: default}]
  - {when: list it, name: listing, replies: [{say: a}, {say: "{{last_tool_result}}"}]}
  - {when: {regex: '^Pl.*t$'}, replies: [{say: never before the first}]}
  - {when: {regex: '^\\d+$'}, replies: [{say: number}]}
"""
)


@pytest.mark.parametrize(
    ("text", "said", "scene"),
    [
        ("Please LIST it", "a", "listing"),
        ("12", "number", "scene 3"),
        ("anything", "default", "scene 0"),
        ("", "default", "scene 0"),
    ],
)
def test_the_first_scene_that_matches_is_played(text: str, said: str, scene: str) -> None:
    played = choose(TWO, replace(CUE, user_text=text), attempt=0)
    assert (played.say, played.scene) == (said, scene)


def test_a_scene_is_looked_for_in_the_beginning_of_a_long_text_only() -> None:
    text = " " * (MATCH_LIMIT_CHARS - len("list it")) + "list it"
    assert choose(TWO, replace(CUE, user_text=text), attempt=0).scene == "listing"
    assert choose(TWO, replace(CUE, user_text=" " + text), attempt=0).scene == "scene 0"


def test_the_number_of_answers_so_far_is_the_number_of_the_reply() -> None:
    assert choose(TWO, replace(CUE, reply_number=1), attempt=0).say == "a.txt"
    assert choose(TWO, replace(CUE, reply_number=2), attempt=0).say == AFTER_THE_LAST


def test_without_a_match_and_a_default_the_reply_says_so() -> None:
    only = script("scenes: [{when: x, replies: [{say: x}]}]")
    assert choose(only, CUE, attempt=0).say == NO_SCENE


def test_a_request_without_tools_is_never_told_to_use_one() -> None:
    tools = script(
        """
scenes:
  - replies: [{use: [{tool: Bash}]}, {say: done}]
  - {when: chat, replies: [{use: [{tool: Bash}]}, {say: we chat}]}
without_tools: "You said {{user_text}}"
"""
    )
    bare = replace(CUE, has_tools=False)
    assert choose(tools, bare, attempt=0).say == "You said Please LIST it"
    assert choose(tools, replace(bare, user_text="chat"), attempt=0).say == "we chat"


def test_faults_end_after_their_times_or_never() -> None:
    faults = script(
        """
scenes:
  - when: some
    replies:
      - {say: x, error: {status: 529, times: 2}, cut_after: {after_deltas: 0, times: 1}}
  - {when: ever, replies: [{error: {status: 500}, cut_after: 3}]}
"""
    )
    some = [choose(faults, replace(CUE, user_text="some"), attempt=n) for n in range(3)]
    assert [played.failure is not None for played in some] == [True, True, False]
    assert [played.cut_after_deltas for played in some] == [0, None, None]
    ever = choose(faults, replace(CUE, user_text="ever"), attempt=999)
    assert ever.failure is not None
    assert ever.cut_after_deltas == 3


QUOTED = script(
    """
scenes:
  - replies:
    - use:
      - tool: Bash
        input: {command: "echo {{ user_text | sh }}", deep: [{a: "{{first_user_text}}"}], n: 1}
"""
)


@given(st.text(alphabet=st.characters(exclude_characters="\x00"), max_size=50))
def test_a_quoted_text_stays_one_argument_of_the_shell(text: str) -> None:
    (call,) = choose(QUOTED, replace(CUE, user_text=text), attempt=0).use
    assert shlex.split(str(call.input["command"])) == ["echo", text]
    assert call.input["deep"] == [{"a": "the first"}]
    assert call.input["n"] == 1


def test_a_nul_is_left_out_of_a_quoted_text() -> None:
    (call,) = choose(QUOTED, replace(CUE, user_text="a\0b"), attempt=0).use
    assert call.input["command"] == "echo ab"


def test_a_placeholder_inside_a_value_is_not_filled_again() -> None:
    echo = script("scenes: [{replies: [{say: '{{user_text}}'}]}]")
    text = "{{first_user_text}}"
    assert choose(echo, replace(CUE, user_text=text), attempt=0).say == text


def test_a_long_value_is_cut() -> None:
    echo = script("scenes: [{replies: [{say: '{{user_text}}'}]}]")
    played = choose(echo, replace(CUE, user_text="x" * 100_000), attempt=0)
    assert len(played.say) == VALUE_LIMIT_CHARS
