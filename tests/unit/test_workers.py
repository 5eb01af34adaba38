from pathlib import Path

import pytest
from tests.workers import SHARED, group_of

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("node_id", "group"),
    [
        ("tests/unit/wire/test_sse.py::test_a[runc]", "tests/unit/wire/test_sse.py"),
        ("tests/e2e/test_turn.py::test_a[runc]", "tests/e2e/test_turn.py-runc"),
        ("tests/e2e/test_turn.py::test_a[runsc-id -u-1000]", "tests/e2e/test_turn.py-runsc"),
        ("tests/e2e/test_demo.py::test_a", "tests/e2e/test_demo.py"),
        ("tests/e2e/test_remapped.py::test_a", "remapped"),
        ("tests/integration/sql/test_database.py::test_a[sqlite]", "postgresql"),
    ],
)
def test_a_files_tests_stay_together(node_id: str, group: str) -> None:
    assert group_of(node_id) == group


def test_the_files_that_are_named_are_there() -> None:
    assert [file for file in SHARED if not (ROOT / file).is_file()] == []
