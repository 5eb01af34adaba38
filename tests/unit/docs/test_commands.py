"""Pages that tell somebody to type something name only what there is."""

import re
from pathlib import Path

import pytest
from tests.unit.docs.commands import commands_of, fault_of, targets_of

ROOT = Path(__file__).parents[3]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*/*.md")))
    if path.parent.name in {"security", "operations"} or path.name == "README.md"
}
COMMANDS = sorted({(page, one) for page, text in PAGES.items() for one in commands_of(text)})
MAKEFILE = (ROOT / "Makefile").read_text()


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_a_command_is_one_that_there_is(page: str, command: str) -> None:
    assert fault_of(command) is None, page


def test_a_target_of_make_is_one_that_there_is() -> None:
    there = set(re.findall(r"^([a-z0-9-]+):", MAKEFILE, re.MULTILINE))
    for page, text in PAGES.items():
        assert targets_of(text) <= there, page


def test_what_is_not_there_is_found() -> None:
    assert fault_of("hakoiri audit verify --key KEY") is None
    assert fault_of("hakoiri audit ship status") is None
    assert fault_of("hakoiri audit") is None
    assert fault_of("hakoiri --version") is None
    assert fault_of("hakoiri adit verify") == "there is no adit"
    assert fault_of("hakoiri audit verfy") == "there is no verfy"
    assert fault_of("hakoiri audit verify --kye KEY") == "there is no --kye"
    assert fault_of("hakoiri doctor --productoin") == "there is no --productoin"


def test_commands_are_seen_in_text_and_in_blocks() -> None:
    page = (
        "Run `hakoiri doctor`, then\n\n    hakoiri probe --json  # try\n```\nhakoiri serve\n```\n"
    )
    assert commands_of(page) == {"hakoiri doctor", "hakoiri probe --json", "hakoiri serve"}
    assert len(COMMANDS) > 60
