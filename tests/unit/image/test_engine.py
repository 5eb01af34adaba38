from pathlib import Path

import pytest
from tests.unit.image.commands import IMAGE_ID, Commands, add_engine

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


def test_an_image_is_known_by_its_content_and_its_time(commands: Commands, tmp_path: Path) -> None:
    add_engine(commands, images=tmp_path / "images", root_directory=tmp_path)
    with pytest.raises(ImageBuildError, match="has no image a:1; `hakoiri image build`"):
        Engine(None).describe("a:1")
    (tmp_path / "images" / "a:1").touch()
    described = Engine(None).describe("a:1")
    assert described.image_id == IMAGE_ID
    assert described.made.isoformat() == "2026-01-02T03:04:05.123456+00:00"


def test_an_export_is_whole_and_leaves_no_container(commands: Commands, tmp_path: Path) -> None:
    add_engine(commands, images=tmp_path / "images", root_directory=tmp_path)
    with Engine(None).exported(IMAGE_ID) as archive:
        assert archive.read(2) == b"./"
    assert commands.calls[-1] == "docker rm --force c0ffee"


def test_an_export_that_breaks_off_is_an_error_and_leaves_no_container(
    commands: Commands,
) -> None:
    commands.add("docker", 'case "$1" in create) echo c0ffee;; export) printf xx; exit 1;; esac')
    with (
        pytest.raises(ImageBuildError, match="docker export failed"),
        Engine(None).exported(IMAGE_ID) as archive,
    ):
        assert archive.read() == b"xx"
    assert commands.calls[-1] == "docker rm --force c0ffee"
