"""What the guides tell to type exists, and what they quote is what Hakoiri says."""

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from hakoiri.cli.main import app
from hakoiri.host import settings

ROOT = Path(__file__).parents[3]
GUIDES = sorted((ROOT / "docs/operations").glob("*.md"))
TROUBLES = ROOT / "docs/operations/troubleshooting.md"
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
PROMPT = re.compile(r"^ *[#$] (.+)$", re.MULTILINE)
INLINE = re.compile(r"`(hakoiri [^`]+)`")
ENDS = frozenset({"|", ">", "<", "&", "&&", ";", "…", "--"})
GAP = "…"
ONLY_CLIENTS = frozenset({"HAKOIRI_URL", "HAKOIRI_KEY", "HAKOIRI_CONFIG"})


def commands_of(guide: Path) -> Iterator[str]:
    """All command lines of ours: those after a prompt in a console, and those in a sentence."""
    text = guide.read_text()
    for kind, body in FENCE.findall(text):
        if kind == "console":
            yield from (line for line in PROMPT.findall(body) if line.startswith("hakoiri "))
    yield from (found for found in INLINE.findall(FENCE.sub("", text)) if "\n" not in found)


def words_of(line: str) -> list[str]:
    words = shlex.split(line, comments=True)
    return words[1 : next((at for at, word in enumerate(words) if word in ENDS), len(words))]


def why_not(line: str) -> str | None:
    """What of a command line does not exist; None if all of it does."""
    command: Any = get_command(app)
    path = ["hakoiri"]
    words = words_of(line)
    while words and hasattr(command, "get_command"):
        if words[0].startswith("-"):
            break
        found = command.get_command(None, words[0])
        if found is None:
            return f"{' '.join(path)} has no {words[0]}"
        command = found
        path.append(words.pop(0))
    options = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
    options |= {"--help", "-h", "--json"}
    for word in words:
        if word.startswith("-") and word.split("=")[0] not in options:
            return f"{' '.join(path)} has no {word}"
    return None


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.stem)
def test_every_command_of_ours_exists_with_its_options(guide: Path) -> None:
    assert [wrong for line in commands_of(guide) if (wrong := why_not(line))] == []


def test_the_check_of_commands_finds_what_is_wrong() -> None:
    assert why_not("hakoiri pool status") == "hakoiri pool has no status"
    assert (
        why_not("hakoiri backup restore --setings DIR") == "hakoiri backup restore has no --setings"
    )
    assert why_not("hakoiri backup restore --settings DIR") is None
    assert why_not("hakoiri nonsense") == "hakoiri has no nonsense"


@pytest.mark.parametrize("name", ["install", "upgrade", "backup", "troubleshooting"])
def test_a_guide_has_commands_to_check(name: str) -> None:
    assert len(list(commands_of(ROOT / f"docs/operations/{name}.md"))) >= 2


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.stem)
def test_every_script_of_ours_exists(guide: Path) -> None:
    named = re.findall(r"deployment/[\w./-]+\.(?:sh|service|json|toml)", guide.read_text())
    assert [path for path in named if not (ROOT / path).is_file()] == []


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.stem)
def test_every_link_leads_to_a_file_of_ours(guide: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+\.(?:md|sh|json))(?:#[^)]*)?\)", guide.read_text())
    assert [
        link for link in links if "://" not in link and not (guide.parent / link).exists()
    ] == []


@pytest.mark.parametrize("name", ["install", "upgrade", "backup", "troubleshooting"])
def test_every_link_leads_to_a_heading(name: str) -> None:
    guide = ROOT / f"docs/operations/{name}.md"
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", guide.read_text()):
        page = guide.parent / target if target else guide
        headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
        assert anchor in {slug_of(heading) for heading in headings}, f"{target}#{anchor}"


def slug_of(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("name", ["install", "upgrade", "backup", "troubleshooting"])
def test_every_setting_exists(name: str) -> None:
    text = (ROOT / f"docs/operations/{name}.md").read_text()
    named = set(re.findall(r"HAKOIRI_[A-Z][A-Z_]*[A-Z]", text))
    assert named - set(settings.variables()) - ONLY_CLIENTS == set()


@cache
def said() -> tuple[str, ...]:
    """All texts of the code, with `…` where a value is put in."""
    found: list[str] = []
    for file in (ROOT / "src/hakoiri").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
            elif isinstance(node, ast.JoinedStr):
                parts = (
                    part.value if isinstance(part, ast.Constant) else GAP for part in node.values
                )
                found.append("".join(str(part) for part in parts))
    return tuple(found)


def is_said(message: str) -> bool:
    """Whether some text of the code has it, whole or in part, with the same gaps."""
    return any(message in text for text in said())


def rows(heading: str) -> list[list[str]]:
    """The rows of the guide's tables whose first column has this heading."""
    found, is_ours = [], False
    for line in TROUBLES.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line[:1] == "|" else []
        if not cells:
            is_ours = False
        elif cells[0] == heading:
            is_ours = True
        elif is_ours and set(cells[0]) != {"-"}:
            found.append(cells)
    return found


@pytest.mark.parametrize("row", rows("said"), ids=lambda row: row[0][:40])
def test_a_quoted_message_is_one_that_hakoiri_says(row: list[str]) -> None:
    (message,) = re.findall(r"`([^`]+)`", row[0])
    assert len(message.replace(GAP, "")) > 10
    assert is_said(message), message
    assert row[1], "its meaning"
    assert row[2], "its mend"


def test_the_check_of_messages_finds_one_that_nobody_says() -> None:
    assert not is_said("the engine is on holiday")
    assert is_said("… did not serve within … s")


@pytest.mark.parametrize("row", rows("code"), ids=lambda row: row[0])
def test_a_code_is_one_that_a_turn_can_end_with(row: list[str]) -> None:
    for code in re.findall(r"`([^`]+)`", row[0]):
        assert code in said(), code


def test_the_tables_are_there() -> None:
    assert len(rows("said")) > 20
    assert len(rows("code")) > 10
