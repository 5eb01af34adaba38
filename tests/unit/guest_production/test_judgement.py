"""What may stand on a host for production, and that nothing else passes for it."""

from pathlib import Path

import pytest
from tests.guest_production.judgement import ANYWHERE, UNDER, left_open

CHECKLIST = Path(__file__).parents[3] / "docs/operations/production-checklist.md"


def finding(name: str, state: str, text: str) -> dict[str, str]:
    return {"name": name, "state": state, "text": text}


def test_what_is_ok_is_not_left_open() -> None:
    assert left_open([finding("production: apparmor", "ok", "")], runtime="runc") == []


@pytest.mark.parametrize("state", ["missing", "warning", "open"])
def test_any_other_finding_is(state: str) -> None:
    found = finding("production: lifecycle policy", state, "no rule")
    assert left_open([found], runtime="runsc") == [found]


@pytest.mark.parametrize("runtime", sorted(UNDER))
def test_what_may_stand_stands_for_its_reason_alone(runtime: str) -> None:
    for name, known in {**ANYWHERE, **UNDER[runtime]}.items():
        told = finding(name, known.state, f"so {known.words} it is")
        assert left_open([told], runtime=runtime) == []
        for other in ({**told, "text": "for another reason"}, {**told, "state": "missing"}):
            assert left_open([other], runtime=runtime) == [other]


def test_what_may_stand_under_one_runtime_may_not_under_the_other() -> None:
    known = UNDER["runc"]["production: gvisor"]
    told = finding("production: gvisor", known.state, known.words)
    assert left_open([told], runtime="runsc") == [told]


def test_each_is_argued_on_the_page() -> None:
    argued = CHECKLIST.read_text().partition("## What a host cannot close")[2].partition("\n## ")[0]
    points = {
        name.removeprefix("production: ") for name in {*ANYWHERE, *UNDER["runc"], *UNDER["runsc"]}
    }
    assert points <= {line.split("`")[1] for line in argued.splitlines() if line.startswith("- `")}
