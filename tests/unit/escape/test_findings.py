from typing import Any

import pytest
from tests.escape.findings import (
    AREAS,
    EITHER,
    OF_NO_RUNTIME,
    RUNTIMES,
    SEEN_LIMIT_CHARS,
    Check,
    open_checks,
    plain,
    untried,
)


def check(**changes: Any) -> Check:
    parts: dict[str, Any] = {
        "area": "network-egress",
        "runtime": "runc",
        "name": "connect",
        "command": "connect",
        "expected": "unreachable",
        "seen": "unreachable",
        "held": True,
    }
    return Check(**(parts | changes))


def whole() -> list[Check]:
    return [
        check(area=area, runtime=runtime)
        for area in AREAS
        for runtime in ((EITHER,) if area in OF_NO_RUNTIME else RUNTIMES)
    ]


def test_the_areas_that_a_report_owes_are_there() -> None:
    assert {
        *("network-egress", "metadata-address", "docker-socket", "secrets", "proxy-bypass"),
        *("whitelist-bypass", "privilege-escalation", "root-file-system", "syscall-filter"),
        *("neighbour-workspace", "resource-exhaustion"),
    } <= set(AREAS)


def test_an_attack_that_went_through_is_open() -> None:
    through = check(held=False)
    assert open_checks([check(), through]) == [through]


def test_a_whole_run_leaves_nothing_untried() -> None:
    assert untried(whole()) == []


@pytest.mark.parametrize("missing", range(len(whole())))
def test_what_was_not_tried_is_named_by_area_and_runtime(missing: int) -> None:
    checks = whole()
    gone = checks.pop(missing)
    assert untried(checks) == [(gone.area, gone.runtime)]


@pytest.mark.parametrize("changes", [{"area": "other"}, {"runtime": "crun"}])
def test_an_unknown_area_or_runtime_is_refused(changes: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="no such"):
        check(**changes)


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        ("a\nb\x1b[31mred\x1b[0m", "a bred"),
        ("in /tmp/pytest-of-root/x/y: no", "in <path> no"),
        ("hakoiri-c0123456789abcdef died", "hakoiri-<container> died"),
        ("sha256:" + "a" * 64, "<id>"),
        ("http://127.0.0.1:45231/", "http://127.0.0.1:<port>/"),
    ],
)
def test_nothing_of_the_machine_or_the_run_is_told(seen: str, told: str) -> None:
    assert plain(seen) == told


def test_what_is_told_is_one_bounded_line() -> None:
    assert len(plain("word " * 1000)) == SEEN_LIMIT_CHARS
