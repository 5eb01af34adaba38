"""What the guest's records are judged by, for itself."""

from typing import Any

import pytest
from tests.guest.judgement import confined, not_refused, numbers_of, of_kind, refused_by

P = "workspace-container"


def act(name: str, pid: int, error: int = 0) -> dict[str, Any]:
    return {"act": name, "pid": pid, "error": error, "text": "said"}


def line(pid: int, *, profile: str = P, verdict: str = "DENIED") -> str:
    return f'4,1,2,-;audit: apparmor="{verdict}" operation="open" profile="{profile}" pid={pid} x=1'


def tried(*acts: dict[str, Any], log: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"acts": list(acts), "log": list(log)}


CONTROL = tried(act("a", 1))


def test_refused_is_what_failed_and_was_told_of_that_process() -> None:
    under = tried(act("a", 7, 13), log=(line(7),))
    assert not_refused(P, control=CONTROL, tried=under) == {}
    assert refused_by(P, under) == {"a": line(7)}


@pytest.mark.parametrize(
    ("under", "why"),
    [
        (tried(act("a", 7), log=(line(7),)), "no record"),
        (tried(act("a", 7, 30), log=(line(7),)), "no record"),
        (tried(act("a", 7, 13)), "no record"),
        (tried(act("a", 7, 13), log=(line(77),)), "no record"),
        (tried(act("a", 7, 13), log=(line(7, profile="docker-default"),)), "no record"),
        (tried(act("a", 7, 13), log=(line(7, verdict="ALLOWED"),)), "no record"),
        (tried(), "not tried in both"),
    ],
)
def test_anything_else_is_not_a_refusal(under: dict[str, Any], why: str) -> None:
    faults = not_refused(P, control=CONTROL, tried=under)
    assert set(faults) == {"a"}
    assert why in faults["a"]


def test_an_act_that_fails_without_a_profile_shows_nothing() -> None:
    under = tried(act("a", 7, 13), act("b", 8, 13), log=(line(7), line(8)))
    faults = not_refused(P, control=tried(act("a", 1, 2)), tried=under)
    assert "does not work without" in faults["a"]
    assert "not tried in both" in faults["b"]


def test_records_are_found_once_or_not_at_all() -> None:
    records = [{"kind": "acts", "name": "x"}, {"kind": "acts", "name": "x"}]
    for name in ("x", "y"):
        with pytest.raises(LookupError):
            of_kind(records, "acts", name)
    with pytest.raises(LookupError):
        confined([])


def test_a_control_groups_file_is_numbers_by_name() -> None:
    assert numbers_of("max 0\noom_kill 2\n") == {"max": 0, "oom_kill": 2}
