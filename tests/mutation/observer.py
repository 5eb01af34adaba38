"""A pytest plugin: where the package came from, and how each test ended, as one JSON file."""

import json
import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import settings

SOURCE_VARIABLE: Final = "MUTANT_SOURCE"
REPORT_VARIABLE: Final = "MUTANT_REPORT"
"""Not among our settings, which tests may load."""
NOT_A_CATCH: Final = (ImportError, NameError, SyntaxError)
"""What a change that makes no sense raises: no test saw anything."""

_WRONG_PACKAGE: Final = 9
_ended: dict[str, str] = {}


def pytest_configure() -> None:
    """Let no property fail for its slowness on a busy machine: that would pass for a catch."""
    settings.register_profile("mutants", deadline=None)
    settings.load_profile("mutants")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    is_nonsense = call.excinfo is not None and isinstance(call.excinfo.value, NOT_A_CATCH)
    ended = "broken" if is_nonsense or (report.failed and report.when != "call") else report.outcome
    if _ended.get(item.nodeid) != "failed" and (report.when == "call" or ended != "passed"):
        _ended[item.nodeid] = ended  # what a failed test leaves behind says nothing more
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    source = Path(os.environ[SOURCE_VARIABLE])
    ours = [module for name, module in sys.modules.items() if name.partition(".")[0] == "hakoiri"]
    files = [Path(module.__file__) for module in ours if module.__file__]
    Path(os.environ[REPORT_VARIABLE]).write_text(json.dumps(_ended))
    if not files or not all(file.is_relative_to(source) for file in files):
        session.exitstatus = _WRONG_PACKAGE
