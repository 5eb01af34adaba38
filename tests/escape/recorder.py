"""A pytest plugin that keeps what the attacks showed, and writes it down as JSON at the end.

An attack tells its check by the fixture `tell`. A test with the mark `attack` that fails without
having told why is a check that went through, and so is a collected test that does not pass.
"""

import json
import os
import tomllib
from collections.abc import Generator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import pytest
from tests.escape.findings import EITHER, RUNTIMES, Check

RECORD_VARIABLE: Final = "TESTS_ESCAPE_RECORD"
"""Not one of ours: unknown settings are errors."""
COLLECTED: Final = Path(__file__).with_name("collected.toml")

told: list[Check] = []


def collected() -> dict[str, dict[str, str]]:
    """Return the tests of other directories that play an attack, by node."""
    entries = tomllib.loads(COLLECTED.read_text(encoding="utf-8"))["check"]
    return {entry["test"]: entry for entry in entries}


def runtime_of(item: pytest.Item) -> str:
    """Return the runtime that the test's parameters name."""
    call = getattr(item, "callspec", None)
    values = call.params.values() if call is not None else ()
    return next((value for value in values if value in RUNTIMES), EITHER)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    mark = item.get_closest_marker("attack")
    reason = str(call.excinfo.value) if call.excinfo is not None else report.outcome
    if mark is not None and not report.passed:
        _tell_failure(mark.args[0], item, reason)
    elif mark is None and (report.when == "call" or not report.passed):
        _tell_collected(item, is_held=report.passed, reason=reason)
    return report


def _tell_failure(area: str, item: pytest.Item, reason: str) -> None:
    """Tell a test that failed by itself; one that told its own check has said it already."""
    if not reason.startswith(OPEN):
        name = item.name.replace("_", " ").removeprefix("test ")
        told.append(
            Check(
                area=area,
                runtime=runtime_of(item),
                name=name,
                command=item.nodeid,
                expected="the check comes to its end",
                seen=reason,
                held=False,
            )
        )


OPEN: Final = "open: "
"""How the assertion of a check that was told begins."""


def _tell_collected(item: pytest.Item, *, is_held: bool, reason: str) -> None:
    node = item.nodeid.partition("[")[0]
    entry = collected().get(node)
    if entry is None:
        return
    parameters = item.nodeid.partition("[")[2].removesuffix("]")
    runtime = runtime_of(item)
    told.append(
        Check(
            area=entry["area"],
            runtime=runtime if runtime != EITHER else entry.get("runtime", EITHER),
            name=entry["attack"] + (f" ({parameters})" if parameters not in ("", runtime) else ""),
            command=f"{Path(node.partition('::')[0]).stem}::{node.partition('::')[2]}",
            expected=entry["expected"],
            seen=entry["expected"] if is_held else reason,
            held=is_held,
        )
    )


def pytest_sessionfinish() -> None:
    path = os.environ.get(RECORD_VARIABLE)
    if path:
        record: list[dict[str, Any]] = [asdict(check) for check in told]
        Path(path).write_text(json.dumps(record), encoding="utf-8")
