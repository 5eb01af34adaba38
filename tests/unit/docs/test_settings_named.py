"""Each setting and each target of make that any page names is one that there is."""

import re
from pathlib import Path

import pytest

from hakoiri.host import settings
from hakoiri.host.client_variables import CLIENT_KEY_VARIABLE, CLIENT_URL_VARIABLE

ROOT = Path(__file__).parents[3]
PAGES = [
    *(ROOT / name for name in ("README.md", "ARCHITECTURE.md", ".env.example")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
NAMED = re.compile(r"HAKOIRI_[A-Z_]*[A-Z](?P<part>_*[*…]|__(?=[`\s]))?")
THERE = {
    *settings.variables(),
    settings.CONFIG_VARIABLE,
    CLIENT_KEY_VARIABLE,
    CLIENT_URL_VARIABLE,
}
OF_COMPOSE = set(re.findall(r"\$\{(HAKOIRI_[A-Z_]+)", (ROOT / "docker-compose.yml").read_text()))
TARGETS = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def unknown(text: str) -> list[str]:
    """Return the names of settings, or their beginnings (`HAKOIRI_FILES__…`), that are none."""
    wrong = []
    for found in NAMED.finditer(text):
        name = found[0].rstrip("*…").rstrip("_") if found["part"] else found[0]
        is_part = found["part"] and any(one.startswith(name) for one in THERE)
        if not is_part and name not in THERE | OF_COMPOSE:
            wrong.append(name)
    return wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_each_setting_is_one_that_there_is(page: Path) -> None:
    assert unknown(page.read_text()) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_each_target_of_make_is_one_that_there_is(page: Path) -> None:
    named = set(re.findall(r"(?:`|^    |^# )make ([a-z0-9-]+)", page.read_text(), re.MULTILINE))
    assert named <= TARGETS


def test_the_check_finds_what_is_wrong() -> None:
    assert unknown("HAKOIRI_PRT=1") == ["HAKOIRI_PRT"]
    assert unknown("`HAKOIRI_FILES__*`, `HAKOIRI_WARM_POOL__…` and HAKOIRI_PORT.") == []
    assert unknown("`HAKOIRI_FLES__*`") == ["HAKOIRI_FLES"]
