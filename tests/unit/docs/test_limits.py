"""The table of limits in the guide of the orchestrator says what the code does, and all of it."""

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest

from hakoiri.host import settings

ROOT = Path(__file__).parents[3]
SOURCE = ROOT / "src/hakoiri"
PAGE = ROOT / "docs/operations/orchestrator.md"
HEADING = "## Every limit, time and knob"
ROW = re.compile(r"^\| [^|]+ \| (?P<value>[^|]+) \| `(?P<name>[\w/.]+)` \| [^|]*\|$", re.MULTILINE)
TIME = re.compile(r"_S$|_TIMEOUT|_STEPS$")

ROOMS: Final = (
    "host/containers/*.py",
    "host/conversations/*.py",
    "host/coordination/*.py",
    "host/adapters/redis/*.py",
    "host/adapters/agent_client.py",
    "host/adapters/docker.py",
    "host/adapters/http_server.py",
    "host/adapters/proxy_client.py",
    "host/container_keeping.py",
    "host/following.py",
    "host/other_servers.py",
    "host/readiness.py",
    "docker_guard/*.py",
)
"""Where containers and turns are dealt with."""

KNOBS: Final = ("WARM_POOL__", "ADMISSION__", "TURN__", "COORDINATION__")
OTHER_KNOBS: Final = ("LIMIT", "PROBE_AT_START", "RUNTIME", "RUNTIMES")
"""Of a container, beside its times; what it is made of is told where that is explained."""

EXEMPT: Final[dict[str, str]] = {}
"""Constants that are no limit of anything, by name, and why."""


def rows(page: str) -> list[tuple[str, str]]:
    """Return the name and the value of each row of the table."""
    table = page.partition(HEADING)[2].partition("\n## ")[0]
    return [(found["name"], found["value"]) for found in ROW.finditer(table)]


def told(name: str, value: Any) -> str:
    """Return how the page writes a value."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    is_time = name.lower().endswith("_s") or "TIMEOUT" in name
    return f"{value:g} s" if is_time else f"{value:g}" if isinstance(value, float) else str(value)


def value_of(name: str) -> Any:
    """Return what a variable, a constant or a field is by default; `LookupError` if it is none."""
    if name.startswith("HAKOIRI_"):
        return settings.variables()[name]
    path, *inner = name.split(".")
    module = module_of(path)
    if len(inner) == 1:
        return vars(module)[inner[0]]
    kind = vars(module)[inner[0]]
    return {field.name: field.default for field in fields(kind)}[inner[1]]


def module_of(path: str) -> ModuleType:
    """Return the module that the page calls by this path; `LookupError` if there is none."""
    dotted = path.replace("/", ".")
    prefix = "hakoiri" if path.startswith("docker_guard") else "hakoiri.host"
    try:
        return import_module(f"{prefix}.{dotted}")
    except ModuleNotFoundError as error:
        raise LookupError(path) from error


def constants() -> Iterator[str]:
    """Return all constants of the rooms that limit a time, as the page names them."""
    for pattern in ROOMS:
        found = sorted(SOURCE.glob(pattern))
        assert found, f"{pattern} is no room any more"
        for path in found:
            where = str(path.relative_to(SOURCE).with_suffix("")).removeprefix("host/")
            yield from (f"{where}.{name}" for name in names_in(path.read_text()))


def names_in(source: str) -> list[str]:
    targets: list[ast.expr] = []
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.AnnAssign):
            targets.append(statement.target)
        elif isinstance(statement, ast.Assign):
            targets += statement.targets
    names = [one.id for one in targets if isinstance(one, ast.Name)]
    return [name for name in names if name.isupper() and TIME.search(name)]


def wanted() -> set[str]:
    """Return all that the table has to name."""
    variables = {
        name
        for name in settings.variables()
        if name.removeprefix("HAKOIRI_").startswith(KNOBS)
        or (
            name.startswith("HAKOIRI_CONTAINER__")
            and name.removeprefix("HAKOIRI_CONTAINER__").endswith(("_S", *OTHER_KNOBS))
        )
    }
    limits = module_of("conversations/model").TurnLimits
    turn = {
        f"conversations/model.TurnLimits.{field.name}"
        for field in fields(limits)
        if f"HAKOIRI_TURN__{field.name.upper()}" not in variables
    }
    return variables | turn | (set(constants()) - EXEMPT.keys())


TABLE = rows(PAGE.read_text())


@pytest.mark.parametrize(("name", "value"), TABLE)
def test_a_row_says_what_the_code_says(name: str, value: str) -> None:
    assert told(name, value_of(name)) == value


def test_nothing_is_left_out_and_nothing_is_told_twice() -> None:
    named = [name for name, _ in TABLE]
    assert sorted(wanted() - set(named)) == [], "tell it in the table, or exempt it with a reason"
    assert sorted(set(named) - wanted()) == []
    assert len(named) == len(set(named))


def test_each_line_of_the_table_is_read() -> None:
    table = PAGE.read_text().partition(HEADING)[2]
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    groups = [line for line in lines if line.startswith("| *")]
    assert len(lines) == len(TABLE) + len(groups) + 1, "one is the head"


def test_what_is_exempt_is_there_and_has_a_reason() -> None:
    assert EXEMPT.keys() <= set(constants())
    assert all(EXEMPT.values())


def test_a_wrong_row_and_a_new_constant_are_found() -> None:
    page = f"{HEADING}\n\n| what | 61 s | `containers/lifecycle.STEP_TIMEOUT_S` | then |\n"
    [(name, value)] = rows(page)
    assert told(name, value_of(name)) != value
    assert names_in("NEW_S: Final = 3\nOTHER_TIMEOUT = 4\nCOUNT = 5\nlower_s = 6\n") == [
        "NEW_S",
        "OTHER_TIMEOUT",
    ]
    with pytest.raises(LookupError):
        value_of("containers/nowhere.STEP_TIMEOUT_S")
    with pytest.raises(LookupError):
        value_of("containers/lifecycle.NONE_S")
