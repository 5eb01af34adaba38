from pathlib import Path

import pytest
from tests.unit.image.commands import Commands, add_engine

from hakoiri.image.engine import Engine
from hakoiri.image.errors import ImageBuildError


def build(engine: Engine, context: Path) -> list[str]:
    lines: list[str] = []
    engine.build(
        context,
        dockerfile="Dockerfile",
        tag="hakoiri/workspace:1",
        arguments={"BASE": "hakoiri/base:1"},
        network="none",
        mend="none",
        on_line=lines.append,
    )
    return lines


@pytest.mark.parametrize(("buildx", "buildkit"), [(True, "1"), (False, "0")])
def test_an_image_is_built_without_network_with_what_the_client_can(
    commands: Commands, tmp_path: Path, buildkit: str, *, buildx: bool
) -> None:
    add_engine(commands, images=tmp_path / "images", root_directory=tmp_path, buildx=buildx)
    engine = Engine("unix:///run/other.sock")
    assert not engine.has_image("hakoiri/workspace:1")
    lines = build(engine, tmp_path)
    assert lines == [f"Step 1/1 : buildkit={buildkit} host=unix:///run/other.sock"]
    assert engine.has_image("hakoiri/workspace:1")
    (call,) = commands.calls_of("docker build ")
    assert "--network=none" in call
    assert "--build-arg=BASE=hakoiri/base:1" in call


def test_a_root_filesystem_is_imported(commands: Commands, tmp_path: Path) -> None:
    add_engine(commands, images=tmp_path / "images", root_directory=tmp_path)
    Engine(None).import_root(tmp_path / "root.tar", tag="hakoiri/base:1")
    assert commands.calls_of("docker import ") == [
        f"docker import {tmp_path / 'root.tar'} hakoiri/base:1"
    ]


def test_an_engine_that_does_not_answer_is_told_with_the_mend(commands: Commands) -> None:
    commands.add("docker", "exit 1")
    with pytest.raises(ImageBuildError, match="no container engine answers; see whether"):
        Engine(None).has_image("hakoiri/workspace:1")
