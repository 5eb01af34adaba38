import json
from pathlib import Path

import pytest
from tests.unit.image.commands import IMAGE_ID, Commands, add_engine

from hakoiri.image.bill_file import ensure_bill
from hakoiri.image.engine import Engine
from hakoiri.image.errors import ImageBuildError


def test_a_bill_is_made_once_and_then_kept(commands: Commands, tmp_path: Path) -> None:
    add_engine(commands, images=tmp_path / "images", root_directory=tmp_path)
    (tmp_path / "images" / "a:1").touch()
    first = ensure_bill("a:1", engine=Engine(None), cache_dir=tmp_path / "cache")
    assert json.loads(first)["metadata"]["component"]["version"] == IMAGE_ID
    assert ensure_bill("a:1", engine=Engine(None), cache_dir=tmp_path / "cache") == first
    assert len(commands.calls_of("docker export")) == 1


def test_a_cache_that_cannot_be_written_is_told(commands: Commands, tmp_path: Path) -> None:
    add_engine(commands, images=tmp_path / "images", root_directory=tmp_path)
    (tmp_path / "images" / "a:1").touch()
    (tmp_path / "cache").touch()
    with pytest.raises(ImageBuildError, match="name another cache"):
        ensure_bill("a:1", engine=Engine(None), cache_dir=tmp_path / "cache")
