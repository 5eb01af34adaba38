"""The plugin, run as `make escape` runs it, over attacks that hold, go through and break."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.escape import recorder
from tests.escape.findings import Check
from tests.escape.report import read

ROOT = Path(__file__).parents[3]
ATTACKS = """
import pytest
from tests.escape import recorder
from tests.escape.findings import Check

pytestmark = pytest.mark.attack("secrets")

def tell(held):
    recorder.told.append(Check("secrets", "runc", "look", "grep", "none", "seen", held))
    assert held, recorder.OPEN + "look"

@pytest.mark.parametrize("runtime", ["runc"])
def test_holds(runtime):
    tell(True)

@pytest.mark.parametrize("runtime", ["runc"])
def test_goes_through(runtime):
    tell(False)

@pytest.mark.parametrize("runtime", ["runsc"])
def test_breaks_by_itself(runtime):
    raise RuntimeError("no engine")

@pytest.fixture
def broken():
    raise RuntimeError("no server")

def test_whose_fixture_breaks(broken):
    pass
"""


@pytest.fixture(scope="module")
def checks(tmp_path_factory: pytest.TempPathFactory) -> list[Check]:
    root = tmp_path_factory.mktemp("recorder")
    (root / "test_attacks.py").write_text(ATTACKS)
    record = root / "record.json"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "tests.escape.recorder"),
            *("-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml"), f"--rootdir={ROOT}"),
            *(f"--basetemp={root / 't'}", str(root / "test_attacks.py")),
        ],
        env=os.environ | {recorder.RECORD_VARIABLE: str(record)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout
    return read(record)


def test_a_told_check_is_kept_once_as_it_was_told(checks: list[Check]) -> None:
    told = [(one.name, one.held) for one in checks if one.name == "look"]
    assert told == [("look", True), ("look", False)]


@pytest.mark.parametrize(
    ("name", "seen", "runtime"),
    [
        ("breaks by itself[runsc]", "no engine", "runsc"),
        ("whose fixture breaks", "no server", "-"),
    ],
)
def test_an_attack_that_breaks_is_open(
    checks: list[Check], name: str, seen: str, runtime: str
) -> None:
    (one,) = (check for check in checks if check.name == name)
    assert not one.held
    assert seen in one.seen
    assert one.runtime == runtime


def test_nothing_else_is_told(checks: list[Check]) -> None:
    assert len(checks) == 4


def test_the_collected_tests_exist() -> None:
    for node, entry in recorder.collected().items():
        file, _, function = node.partition("::")
        assert f"def {function}(" in (ROOT / file).read_text(), node
        assert {"area", "attack", "expected", "test"} <= set(entry)


def test_without_a_record_nothing_is_read(tmp_path: Path) -> None:
    assert read(tmp_path / "none.json") == []
