"""The page of requirements names files, tests and settings; each must exist."""

import re
from pathlib import Path

import pytest

from hakoiri.host import settings

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/requirements.md").read_text()
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ")]
NAMED = sorted(set(re.findall(r"`([\w./-]+/[\w./-]+\.?\w*)`", "\n".join(ROWS))))
SETTINGS = sorted(set(re.findall(r"`(HAKOIRI_\w+)`", PAGE)))


@pytest.mark.parametrize("path", [path for path in NAMED if not path.startswith("/")])
def test_a_named_file_exists(path: str) -> None:
    assert (ROOT / path).is_file() or (ROOT / "src/hakoiri" / path).is_file()


@pytest.mark.parametrize("name", SETTINGS)
def test_a_named_setting_exists(name: str) -> None:
    assert name in settings.variables()


def test_what_is_not_open_is_shown_by_something() -> None:
    for row in ROWS:
        *_, shown, _ = [cell.strip() for cell in row.split("|")]
        if "**Open**" not in row and not set(shown) <= {"-"}:
            assert shown, row


def test_the_page_is_long_enough_to_be_the_whole() -> None:
    assert len(ROWS) > 55
    assert len(NAMED) > 100
