import pytest
from tests.escape.findings import AREAS
from tests.escape.page import render
from tests.escape.report import verdict
from tests.unit.escape.test_findings import check, whole

FACTS = {"date": "2026-01-01", "kernel": "Linux 6"}


def test_an_open_finding_is_told_as_open_at_the_head_and_in_its_row() -> None:
    page = render([*whole(), check(name="leak", seen="connected", held=False)], FACTS)
    assert "- **open**: Network egress: leak under runc: connected" in page
    (row,) = (line for line in page.splitlines() if line.startswith("| leak "))
    assert row.endswith("| connected | **open** |")
    assert "1 open, 0 areas untried" in page


def test_a_run_in_which_all_held_tells_nothing_open() -> None:
    page = render(whole(), FACTS)
    assert "**open**:" not in page
    assert f"{len(whole())} of {len(whole())} attacks held back, 0 open, 0 areas untried" in page


def test_a_run_that_tried_nothing_is_open_in_every_area() -> None:
    page = render([], FACTS)
    assert page.count(": nothing was tried") == 2 * len(AREAS) - 1
    assert page.count("Nothing was tried.") == len(AREAS)


def test_the_order_in_which_attacks_ended_changes_nothing() -> None:
    checks = [*whole(), check(name="b"), check(name="a", runtime="runsc")]
    for start in range(len(checks)):
        turned = [*checks[start:], *checks[:start]]
        assert render(turned[::-1], FACTS) == render(checks, FACTS)


def test_what_was_seen_cannot_break_the_table() -> None:
    page = render([check(seen="a | b\n| forged | row |")], FACTS)
    (row,) = (line for line in page.splitlines() if line.startswith("| connect "))
    assert "a \\| b \\| forged \\| row \\|" in row


def test_the_facts_of_the_run_are_told() -> None:
    assert "| date | 2026-01-01 |\n| kernel | Linux 6 |" in render(whole(), FACTS)


@pytest.mark.parametrize(
    ("checks", "ended", "code"),
    [
        (whole(), 0, 0),
        ([*whole(), check(held=False)], 0, 1),
        ([*whole(), check(held=False)], 1, 1),
        (whole()[1:], 0, 1),
        (whole(), 1, 1),
        ([], 0, 1),
    ],
    ids=["all held", "one open", "one open and failed", "one untried", "a test failed", "nothing"],
)
def test_the_exit_code_is_0_only_if_all_was_tried_and_held(
    checks: list[object], ended: int, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verdict(checks, ended=ended, is_whole=True) == code  # type: ignore[arg-type]
    told = capsys.readouterr().out
    assert ("OPEN  network-egress, runc" in told) == any(not one.held for one in checks)  # type: ignore[attr-defined]


def test_a_part_of_the_attacks_is_judged_by_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert verdict([check()], ended=0, is_whole=False) == 0
    assert verdict([check(held=False)], ended=0, is_whole=False) == 1
    assert "1 open" in capsys.readouterr().out
