"""The machine is set up as the guide says: each step of the guide's stands there, word for word."""

from pathlib import Path

import pytest
from tests.guest_production.guide import KEY_LINE, SHIP_LINE, UNDOINGS, Step, steps

ROOT = Path(__file__).parents[3]
STEPS = steps(access_key_id="", secret="")
GUIDE = (ROOT / "docs/operations/install.md").read_text()
CHECKLIST = (ROOT / "docs/operations/production-checklist.md").read_text()


@pytest.mark.parametrize("step", [one for one in STEPS if one.page], ids=lambda one: one.name)
def test_a_step_stands_on_its_page(step: Step) -> None:
    assert step.page is not None
    assert step.command in (ROOT / step.page).read_text()


@pytest.mark.parametrize("line", [KEY_LINE, SHIP_LINE])
def test_a_setting_stands_in_the_guide(line: str) -> None:
    assert line in GUIDE


def test_steps_have_names_of_their_own() -> None:
    names = [one.name for one in STEPS]
    assert len(set(names)) == len(names)


def test_what_a_start_demands_is_taken_away_or_the_page_says_why_not() -> None:
    demanded = CHECKLIST.partition("## What a start demands")[2].partition("\n## ")[0]
    points = {line.split("`")[1] for line in demanded.splitlines() if line.startswith("| `")}
    undone = {one.point for one in UNDOINGS}
    assert undone <= points
    not_tried = CHECKLIST.partition("Not taken away: ")[2].partition("\n\n")[0]
    assert all(f"`{point}`" in not_tried for point in points - undone)
