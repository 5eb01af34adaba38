"""The threat model names tests; each must exist, and so must each page it leads to."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs/security/threat-model.md"
TESTS = sorted(set(re.findall(r"`((?:unit|integration|e2e|escape)/[\w/]+\.py)`", PAGE.read_text())))
LINKS = sorted(set(re.findall(r"\]\(([^)#]+)\)", PAGE.read_text())))


@pytest.mark.parametrize("test", TESTS)
def test_a_named_test_exists(test: str) -> None:
    assert (ROOT / "tests" / test).is_file()


@pytest.mark.parametrize("link", LINKS)
def test_a_link_leads_somewhere(link: str) -> None:
    assert (PAGE.parent / link).is_file()


def test_every_file_of_attacks_is_named() -> None:
    files = {f"escape/{path.name}" for path in (ROOT / "tests/escape").glob("test_*.py")}
    assert files - {"escape/test_box.py"} <= set(TESTS)
