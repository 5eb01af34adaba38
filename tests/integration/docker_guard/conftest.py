from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.disks import shared


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    """Where boxes are made; whatever a test leaves mounted there is taken away."""
    made = tmp_path / "tree"
    made.mkdir(mode=0o700)
    with shared(tmp_path):
        yield made
