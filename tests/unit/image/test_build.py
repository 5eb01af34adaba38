import fcntl
import os
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.unit.image.commands import Commands, add_engine

from hakoiri.image.build import ensure_image, image_tag
from hakoiri.image.content_hash import content_hash
from hakoiri.image.errors import ImageBuildError
from hakoiri.image.inputs import read_inputs


class Host:
    """A host on which everything is there but the image."""

    def __init__(self, commands: Commands, tmp_path: Path, source_root: Path) -> None:
        self.images = tmp_path / "images"
        add_engine(commands, images=self.images, root_directory=tmp_path)
        commands.add("npm", "mkdir node_modules")
        self.cache_dir = tmp_path / "cache"
        self.source_root = source_root
        self.told: list[str] = []
        self._put_wheels_into_the_cache()

    def _put_wheels_into_the_cache(self) -> None:
        inputs = read_inputs(self.source_root)
        requirements = inputs.libraries["workspace-requirements.txt"]
        key = content_hash({"requirements": requirements, "arch": inputs.architecture.encode()})
        wheels = self.cache_dir / "wheels" / key
        wheels.mkdir(parents=True)
        (wheels / "a-1.whl").touch()

    def ensure(self) -> str:
        return ensure_image(
            source_root=self.source_root,
            docker_host=None,
            cache_dir=self.cache_dir,
            progress=self.told.append,
        )


@pytest.fixture
def host(
    commands: Commands, tmp_path: Path, source_root: Path, monkeypatch: pytest.MonkeyPatch
) -> Host:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)  # so that no test makes a root filesystem
    return Host(commands, tmp_path, source_root)


def test_a_build_makes_base_and_image_and_says_what_it_does(host: Host, commands: Commands) -> None:
    tag = host.ensure()
    assert tag == image_tag(host.source_root)
    base, image = commands.calls_of("docker build ")
    assert "slim.Dockerfile" in base
    assert f"--tag={tag}" in image
    assert f"--build-arg=BASE={read_inputs(host.source_root).base_tag}" in image
    assert "--network=none" in image
    assert host.told[0] == f"building {tag}"
    assert host.told[-1] == f"built {tag}"
    assert "installing the agent into the image" in host.told
    assert not list(host.cache_dir.glob("build-*")), "the context is gone"


def test_unchanged_input_builds_nothing(host: Host, commands: Commands) -> None:
    tag = host.ensure()
    before, host.told = commands.calls, []
    assert host.ensure() == tag
    assert commands.calls == [*before, f"docker image inspect --format {{{{.Id}}}} {tag}"]
    assert host.told == []


def test_changed_agent_code_builds_on_the_same_base(host: Host, commands: Commands) -> None:
    before = host.ensure()
    (host.source_root / "src/hakoiri/workspace_agent/app.py").write_text("agent = 2")
    assert host.ensure() != before
    assert len([call for call in commands.calls if "slim.Dockerfile" in call]) == 1


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_a_disk_that_is_nearly_full_is_told_before_anything_is_made(
    host: Host, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 10**12, 10**9))
    with pytest.raises(ImageBuildError, match=r"0\.9 GB free at .*; free some"):
        host.ensure()
    assert commands.calls_of("docker build") == []


def test_a_cache_that_cannot_be_written_is_told_with_the_mend(host: Host, tmp_path: Path) -> None:
    host.cache_dir = tmp_path / "file"
    host.cache_dir.touch()
    with pytest.raises(ImageBuildError, match="name another"):
        host.ensure()


def test_a_second_build_waits_and_finds_the_image_made(
    host: Host, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    tag = image_tag(host.source_root)
    flock = fcntl.flock

    def busy_once(file: int, operation: int) -> None:
        if operation & fcntl.LOCK_NB:
            raise BlockingIOError
        flock(file, operation)
        made = host.images / tag
        made.parent.mkdir(parents=True, exist_ok=True)
        made.touch()

    monkeypatch.setattr(fcntl, "flock", busy_once)
    assert host.ensure() == tag
    assert host.told == ["waiting for another build to end"]
    assert commands.calls_of("docker build ") == []
