"""The report of a run as a page: facts, verdict, and a table for each area. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

from tests.escape.findings import AREAS, EITHER, Check, open_checks, plain, untried

_HEAD: Final = """\
# Penetration test report

Each line is an attack on a running Hakoiri: what was done, what must be seen, and what was seen.
This page is written by `make escape`, from the run alone; an attack that goes through, and an area
that nothing was tried in, are told as **open**, and the command then ends with 1. The attacks are
in `tests/escape`; those that other tests play are named in `tests/escape/collected.toml`. What is
promised, and what is not, is in [the threat model](threat-model.md).
"""


def render(checks: Sequence[Check], facts: Mapping[str, str]) -> str:
    """Write the page; the same checks and facts give the same page, in whatever order they come."""
    parts = [_HEAD, _table(("fact of the run", ""), [(name, facts[name]) for name in facts])]
    parts.append(_verdict(checks))
    for area, title in AREAS.items():
        rows = sorted(
            (check for check in checks if check.area == area),
            key=lambda check: (check.name, check.runtime, check.command, check.seen),
        )
        lines = [_line(check) for check in rows]
        head = ("attack", "runtime", "command", "expected", "seen", "result")
        parts.append(f"## {title}\n\n" + (_table(head, lines) if lines else "Nothing was tried.\n"))
    return "\n".join(parts)


def _verdict(checks: Sequence[Check]) -> str:
    found, lacking = open_checks(checks), untried(checks)
    lines = [
        f"- **open**: {AREAS[check.area]}: {check.name}{_under(check.runtime)}: {plain(check.seen)}"
        for check in sorted(found, key=lambda check: (check.area, check.name, check.runtime))
    ]
    lines += [f"- **open**: {AREAS[area]}{_under(one)}: nothing was tried" for area, one in lacking]
    held = len(checks) - len(found)
    told = f"{held} of {len(checks)} attacks held back, {len(found)} open"
    return "\n".join([f"{told}, {len(lacking)} areas untried.\n", *lines, *([""] if lines else [])])


def _under(runtime: str) -> str:
    return "" if runtime == EITHER else f" under {runtime}"


def _line(check: Check) -> tuple[str, ...]:
    command = f"`{plain(check.command)}`" if check.command else ""
    result = "held" if check.held else "**open**"
    return (check.name, check.runtime, command, check.expected, plain(check.seen), result)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
