from pathlib import Path

import pytest
from tests.unit.host.files.trees import make_live_tree

from hakoiri.host.files.ports import LiveTree


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def tree(tmp_path: Path) -> LiveTree:
    return make_live_tree(tmp_path / "live")
