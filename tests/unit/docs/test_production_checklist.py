"""The checklist's page has each point that `hakoiri doctor --production` tells, and no other."""

import re
from pathlib import Path

from tests.unit.cli.doctor.test_checklist_checks import SETTINGS, WELL
from tests.unit.cli.doctor.test_production_checks import ALL, FIT

from hakoiri.cli.doctor.checklist_checks import check_checklist
from hakoiri.cli.doctor.finding import State
from hakoiri.cli.doctor.production_checks import PREFIX, check_production

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/operations/production-checklist.md").read_text()


def points(heading: str) -> list[str]:
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)


def test_what_a_start_demands_is_on_the_page_in_its_order() -> None:
    told = [one.name.removeprefix(PREFIX) for one in check_production(FIT, ALL)]
    assert points("What a start demands") == told


def test_what_else_there_is_to_close_is_on_the_page_in_its_order() -> None:
    told = [one.name.removeprefix(PREFIX) for one in check_checklist(SETTINGS, WELL)]
    assert points("What else to close") == told


def test_each_state_is_explained() -> None:
    explained = set(re.findall(r"^\| `([a-z]+)` \| ", PAGE.split("\n## ")[0], re.MULTILINE))
    assert explained == {state.value for state in State}


def test_the_files_and_pages_that_it_names_are_there() -> None:
    for name in re.findall(r"`(deployment/[\w./-]+)", PAGE):
        assert (ROOT / name).exists(), name
    for link in re.findall(r"\]\(([\w./-]+\.md)", PAGE):
        assert (ROOT / "docs/operations" / link).is_file(), link
