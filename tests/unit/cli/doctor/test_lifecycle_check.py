import json
from pathlib import Path
from typing import Any

import pytest

from hakoiri.cli.doctor.finding import Finding, State
from hakoiri.cli.doctor.lifecycle_check import (
    LifecycleTold,
    check_lifecycle,
    prefix_of,
    touches_what_is_needed,
)
from hakoiri.host.settings import Settings

OURS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[4] / "deployment/s3/lifecycle-policy.json").read_text()
)["Rules"]


def in_bucket(url: str = "s3://files") -> Settings:
    return Settings.model_validate({"object_store_url": url})


def judged(settings: Settings, rules: list[dict[str, Any]] | None) -> Finding:
    return check_lifecycle("lifecycle", settings, LifecycleTold(rules, "AccessDenied"))


def prefixed(prefix: str) -> list[dict[str, Any]]:
    """Return our rules as the script puts them on a bucket."""
    return [rule | {"Filter": {"Prefix": prefix + rule["Filter"]["Prefix"]}} for rule in OURS]


def test_the_rules_that_the_script_puts_are_right() -> None:
    assert judged(in_bucket(), OURS).state is State.OK
    assert judged(in_bucket("s3://files/a/b"), prefixed("a/b/")).state is State.OK


def test_a_bucket_without_them_is_told_how_to_get_them() -> None:
    for rules in ([], OURS[:1], prefixed("other/")):
        found = judged(in_bucket("s3://files/hakoiri"), rules)
        assert found.state is State.WARNING
        assert "deployment/s3/apply-lifecycle.sh s3://files/hakoiri" in found.mend


def test_a_rule_that_is_off_does_not_count() -> None:
    off = [rule | {"Status": "Disabled"} for rule in OURS]
    assert judged(in_bucket(), off).state is State.WARNING


@pytest.mark.parametrize(
    "rule",
    [
        {"Filter": {}, "Expiration": {"Days": 900}},
        {"Prefix": "", "Expiration": {"Days": 900}},
        {"Filter": {"Prefix": "hako"}, "Transitions": [{"Days": 1, "StorageClass": "GLACIER"}]},
        {"Filter": {"Prefix": "hakoiri/tenants/"}, "Expiration": {"Days": 900}},
        {"Filter": {"And": {"Prefix": "hakoiri/", "Tags": []}}, "Expiration": {"Days": 900}},
        {"Filter": {"Tag": {"Key": "a", "Value": "b"}}, "Expiration": {"Days": 900}},
    ],
)
def test_a_rule_that_ends_what_may_be_needed_is_named(rule: dict[str, Any]) -> None:
    bad = {"ID": "too-much", "Status": "Enabled", **rule}
    found = judged(in_bucket("s3://files/hakoiri"), [*prefixed("hakoiri/"), bad])
    assert found.state is State.WARNING
    assert "the rule too-much" in found.text
    assert not touches_what_is_needed(bad | {"Status": "Disabled"}, "hakoiri/")


def test_rules_of_others_prefixes_and_those_that_only_end_uploads_are_no_matter() -> None:
    others = {"ID": "x", "Status": "Enabled", "Filter": {"Prefix": "logs/"}}
    rule = others | {"Expiration": {"Days": 1}}
    assert judged(in_bucket("s3://files/hakoiri"), [*prefixed("hakoiri/"), rule]).state is State.OK


def test_what_cannot_be_read_is_open_and_says_who_can_tell() -> None:
    found = judged(in_bucket(), None)
    assert found.state is State.OPEN
    assert "AccessDenied" in found.text
    assert "s3:GetLifecycleConfiguration" in found.mend


@pytest.mark.parametrize(
    ("collection", "state"),
    [({}, State.OK), ({"archive_age_s": 0}, State.WARNING), ({"interval_s": 0}, State.WARNING)],
)
def test_a_directory_has_no_rules_but_the_servers(
    collection: dict[str, float], state: State
) -> None:
    settings = Settings.model_validate({"collection": collection})
    assert check_lifecycle("lifecycle", settings, None).state is state


@pytest.mark.parametrize(
    ("url", "prefix"),
    [("s3://b", ""), ("s3://b/", ""), ("s3://b/a", "a/"), ("s3://b/a/b/", "a/b/"), ("", "")],
)
def test_the_prefix_is_the_urls(url: str, prefix: str) -> None:
    assert prefix_of(url) == prefix
