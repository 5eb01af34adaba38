import os
from pathlib import Path

import pytest
from tests.unit.image.commands import Commands, add_engine

from hakoiri.image.engine import Engine
from hakoiri.image.errors import ImageBuildError
from hakoiri.image.inputs import read_inputs
from hakoiri.image.root_filesystem import ensure_base

DEBIAN = "deb http://mirror.test/debian bookworm main"


class Host:
    """A host with an engine, its apt sources, and a directory to work in."""

    def __init__(self, commands: Commands, tmp_path: Path, source_root: Path) -> None:
        add_engine(commands, images=tmp_path / "images", root_directory=tmp_path)
        self.apt = tmp_path / "apt"
        (self.apt / "sources.list.d").mkdir(parents=True)
        (self.apt / "sources.list").write_text(DEBIAN)
        self.work = tmp_path / "work"
        self.work.mkdir()
        self.inputs = read_inputs(source_root)
        self.told: list[str] = []

    def ensure(self) -> str:
        return ensure_base(
            self.inputs,
            engine=Engine(None),
            work=self.work,
            progress=self.told.append,
            apt=self.apt,
        )


@pytest.fixture
def host(
    commands: Commands, tmp_path: Path, source_root: Path, monkeypatch: pytest.MonkeyPatch
) -> Host:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    commands.add("mmdebstrap", 'echo "I: extracting archives..."; echo "W: never shown"')
    return Host(commands, tmp_path, source_root)


def test_root_on_debian_makes_the_base_from_its_own_sources(host: Host, commands: Commands) -> None:
    (host.apt / "sources.list.d/other.list").write_text(
        "deb [signed-by=/other.gpg] http://other.test bookworm main"
    )
    assert host.ensure() == host.inputs.base_tag
    (call,) = commands.calls_of("mmdebstrap ")
    assert "--include=git,jq" in call
    assert "http://mirror.test/debian bookworm main" in call
    assert "other.test" not in call
    assert 'seal-root.sh" "$1"' in call
    assert "  extracting archives..." in host.told
    assert not [line for line in host.told if "never shown" in line]
    assert not list(host.work.glob("root-*")), "the archive is gone"


def test_a_base_that_is_there_is_not_made_again(host: Host, commands: Commands) -> None:
    host.ensure()
    host.ensure()
    assert len(commands.calls_of("mmdebstrap ")) == 1


def test_a_bootstrap_that_fails_is_told_with_the_mend(host: Host, commands: Commands) -> None:
    commands.add("mmdebstrap", 'echo "E: no network"; exit 1')
    with pytest.raises(ImageBuildError, match=r"apt-get update(.|\n)*no network"):
        host.ensure()


@pytest.mark.parametrize("lacking", ["root", "sources"])
def test_where_that_cannot_be_the_base_is_a_slim_debian(
    host: Host, commands: Commands, monkeypatch: pytest.MonkeyPatch, lacking: str
) -> None:
    if lacking == "root":
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
    else:
        (host.apt / "sources.list").unlink()
    assert host.ensure() == host.inputs.base_tag
    assert commands.calls_of("mmdebstrap ") == []
    (call,) = commands.calls_of("docker build ")
    assert "slim.Dockerfile" in call
    assert (host.work / "slim/packages.txt").exists()
