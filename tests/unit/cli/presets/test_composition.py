import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.cli.presets.composition import Composed, compose, write
from hakoiri.cli.presets.expansion import PresetError, anthropic, bedrock, packages
from hakoiri.cli.presets.package_source import PackageSource
from hakoiri.credential_proxy.policy_file import parse_policy
from hakoiri.wire.policy import Policy, Rule

INDEX = packages([PackageSource("index.example.test", 443, "pip index-url")])
ANTHROPIC = anthropic(models=[], credential="anthropic")
BEDROCK = bedrock(regions=["eu-west-1"], models=["m:0"], credential="bedrock", sdk=False)
MINE = '# why this one\n[[rules]]\nhost = "api.example.test"  # ours\n'


def added(text: str, preset: Policy, *, replace_model: bool = False) -> str:
    composed = compose(parse_policy(text), preset, replace_model=replace_model)
    return write(composed, text=text, heading="preset", remarks={"index.example.test": "pip"})


def test_a_preset_alone_is_a_policy_of_its_own() -> None:
    assert parse_policy(added("", INDEX)) == INDEX
    assert parse_policy(added("", BEDROCK)) == BEDROCK


def test_presets_add_up_and_what_is_there_stays_with_its_comments() -> None:
    text = added(added(MINE, INDEX), BEDROCK)
    assert text.startswith(MINE.rstrip())
    assert "# pip\n[[rules]]" in text
    whole = parse_policy(text)
    assert [rule.host for rule in whole.rules] == ["api.example.test", "index.example.test"]
    assert whole.model == BEDROCK.model


def test_a_preset_added_twice_changes_nothing() -> None:
    once = added(added(MINE, INDEX), ANTHROPIC)
    assert added(added(once, INDEX), ANTHROPIC) == once


def test_another_way_to_a_model_is_refused_unless_it_is_to_be_replaced() -> None:
    text = added(MINE, ANTHROPIC)
    with pytest.raises(PresetError, match="--replace-model"):
        added(text, BEDROCK)
    assert parse_policy(added(text, BEDROCK, replace_model=True)).model == BEDROCK.model


@pytest.mark.parametrize(
    "text", ['{"rules": [{"host": "api.example.test"}]}', 'rules = [{host = "api.example.test"}]']
)
def test_where_nothing_can_be_appended_the_whole_is_written_anew(text: str) -> None:
    written = added(text, INDEX)
    assert written.startswith("{") == text.startswith("{")
    assert [rule.host for rule in parse_policy(written).rules] == [
        "api.example.test",
        "index.example.test",
    ]


def test_json_stays_json() -> None:
    assert json.loads(added("{}", INDEX))["version"] == 1


def test_a_rule_that_takes_a_host_from_a_wildcard_is_told() -> None:
    wide = Policy(rules=[Rule(host="*.example.test", methods=["POST"])])
    (note,) = compose(wide, INDEX, replace_model=False).notes
    assert "*.example.test" in note
    also = Policy(rules=[*wide.rules, Rule(host="index.example.test")])
    assert compose(also, INDEX, replace_model=False).notes == ()


def test_more_rules_than_a_policy_holds_are_refused() -> None:
    full = Policy(rules=[Rule(host=f"h{number}.example.test") for number in range(1000)])
    with pytest.raises(PresetError, match="1000 rules"):
        compose(full, INDEX, replace_model=False)


HOSTS = st.sampled_from([f"h{number}.example.test" for number in range(6)])
RULES = st.builds(
    Rule,
    host=HOSTS,
    ports=st.lists(st.integers(1, 65535), min_size=1, max_size=2),
    methods=st.lists(st.sampled_from(["GET", "POST"]), max_size=2),
    paths=st.lists(st.sampled_from(["/a/**", "/b/*"]), max_size=2),
)
POLICIES = st.builds(
    Policy,
    rules=st.lists(RULES, max_size=4),
    model=st.sampled_from([None, ANTHROPIC.model, BEDROCK.model]),
)


@given(POLICIES, POLICIES)
def test_what_is_written_is_the_whole_of_both(base: Policy, preset: Policy) -> None:
    text = write(Composed(base, base, ()), text="", heading="base", remarks={})
    composed = compose(parse_policy(text), preset, replace_model=True)
    written = parse_policy(write(composed, text=text, heading="preset", remarks={}))
    assert written == composed.policy
    assert all(rule in written.rules for rule in (*base.rules, *preset.rules))
    assert written.model == (preset.model or base.model)
