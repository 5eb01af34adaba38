import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engine import mounts_below


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    """Where boxes are made; whatever a test leaves mounted there is taken away."""
    made = tmp_path / "tree"
    made.mkdir(mode=0o700)
    yield made
    for mounted in (*mounts_below(made), *mounts_below(tmp_path / "disks")):
        subprocess.run(["umount", "--lazy", str(mounted)], check=False)
