from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.disks import devices_are_let_go, shared

from hakoiri.docker_guard.kernel_mounts import detach_below


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    """Where boxes are made; whatever a test leaves mounted there is taken away."""
    made = tmp_path / "tree"
    made.mkdir(mode=0o700)
    with shared(tmp_path):
        yield made


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """Where a test keeps boxes; at its end no device may be left."""
    with shared(tmp_path):
        made = tmp_path / "root"
        made.mkdir()
        yield made
        detach_below(made)
        assert devices_are_let_go(made)
