import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.rehearsal.__main__ import load_script
from hakoiri.rehearsal.script import SCRIPT_LIMIT_BYTES, Script, ScriptError, read_script


def read(text: str) -> Script:
    return read_script(text, source="x.yaml")


def test_the_built_in_script_runs_bash_and_then_tells() -> None:
    (scene,) = load_script(None).scenes
    assert scene.when is None
    assert [call.tool for reply in scene.replies for call in reply.use] == ["Bash"]
    assert scene.replies[-1].say


def test_short_forms_mean_the_long_ones() -> None:
    short = read("scenes: [{when: hi, replies: [{say: a, cut_after: 2}]}]")
    long = read(
        "scenes: [{when: {contains: hi}, replies: [{say: a, cut_after: {after_deltas: 2}}]}]"
    )
    assert short == long


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "line 1: script"),
        ("a: [", "not YAML"),
        ("scenes: &a [*a]", "alias"),
        ("scenes: []", "line 1: scenes"),
        (
            "scenes:\n  - replies:\n    - say: x\n      sya: y\n",
            "line 4: scenes.0.replies.0.sya: no such",
        ),
        (
            "scenes:\n- replies:\n  - {say: x,\n     delay_s: -1}\n",
            "line 4: scenes.0.replies.0.delay_s",
        ),
        ("scenes:\n- name: x\n", "line 2: scenes.0.replies"),
        ("scenes:\n- replies: [{}]\n", "at least one of say"),
        ("scenes:\n- replies: [{say: x}]\n- replies: [{say: x}]\n", "only one can be the default"),
        ("scenes:\n- replies: [{say: x}]\n  replies: [{say: y}]\n", "line 3: replies: given twice"),
        ("scenes:\n- when: {regex: '('}\n  replies: [{say: x}]\n", "not a regular expression"),
        ("scenes:\n- when: {}\n  replies: [{say: x}]\n", "either contains or regex"),
        ("scenes:\n- replies: [{say: '{{usertext}}'}]\n", "unknown"),
        ("scenes:\n- replies: [{say: '{{user_text|html}}'}]\n", "only quoting"),
        (
            "scenes:\n- replies:\n  - use:\n    - tool: Bash\n      input: {a: [{b: '{{x}}'}]}\n",
            "line 4: scenes.0.replies.0.use.0",
        ),
        ("scenes:\n- replies: [{error: {status: 200}}]\n", "error.status"),
        ("#" * (SCRIPT_LIMIT_BYTES + 1), "longer than"),
        ("[" * 1500, "not YAML"),
        ("scenes:\n- when: {{ contains: x }}\n  replies: [{say: y}]\n", "not YAML"),
    ],
)
def test_a_script_that_cannot_be_played_is_refused_with_its_place(text: str, error: str) -> None:
    with pytest.raises(ScriptError, match=r"^x\.yaml") as caught:
        read(text)
    assert error in str(caught.value)


@given(st.text(max_size=200))
def test_any_text_is_a_script_or_a_script_error(text: str) -> None:
    with contextlib.suppress(ScriptError):
        read(text)
