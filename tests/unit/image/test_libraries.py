from pathlib import Path

import pytest
from tests.unit.image.commands import Commands

from hakoiri.image.errors import ImageBuildError
from hakoiri.image.inputs import read_inputs
from hakoiri.image.libraries import ensure_node_modules, ensure_wheels, platforms


def silent(_: str) -> None:
    return


def add_pip(commands: Commands) -> str:
    script = 'for a; do case "$a" in --dest=*) touch "${a#--dest=}/a-1.whl" ;; esac; done'
    return str(commands.add("python", script))


def test_wheels_are_downloaded_once_by_hash_and_as_wheels_alone(
    commands: Commands, tmp_path: Path, source_root: Path
) -> None:
    python = add_pip(commands)
    inputs = read_inputs(source_root)
    for _ in range(2):
        wheels = ensure_wheels(inputs, cache_dir=tmp_path, progress=silent, python=python)
        assert [path.name for path in wheels.iterdir()] == ["a-1.whl"]
    (call,) = commands.calls_of("python ")
    assert "--require-hashes" in call
    assert "--only-binary=:all:" in call


def test_a_download_that_fails_leaves_nothing_that_looks_whole(
    commands: Commands, tmp_path: Path, source_root: Path
) -> None:
    inputs = read_inputs(source_root)
    broken = str(commands.add("python", "exit 1"))
    with pytest.raises(ImageBuildError, match="package index"):
        ensure_wheels(inputs, cache_dir=tmp_path, progress=silent, python=broken)
    assert list((tmp_path / "wheels").iterdir()) == []
    ensure_wheels(inputs, cache_dir=tmp_path, progress=silent, python=add_pip(commands))


def test_a_changed_lock_replaces_what_was_kept(
    commands: Commands, tmp_path: Path, source_root: Path
) -> None:
    python = add_pip(commands)
    before = ensure_wheels(
        read_inputs(source_root), cache_dir=tmp_path, progress=silent, python=python
    )
    (source_root / "workspace-base/workspace-requirements.txt").write_text("a==2")
    after = ensure_wheels(
        read_inputs(source_root), cache_dir=tmp_path, progress=silent, python=python
    )
    assert list((tmp_path / "wheels").iterdir()) == [after]
    assert not before.exists()


def test_node_modules_are_installed_without_running_their_scripts(
    commands: Commands, tmp_path: Path, source_root: Path
) -> None:
    commands.add("npm", "test -e package-lock.json && mkdir -p node_modules/global-agent")
    inputs = read_inputs(source_root)
    for _ in range(2):
        modules = ensure_node_modules(inputs, cache_dir=tmp_path, progress=silent)
        assert (modules / "global-agent").is_dir()
    (call,) = commands.calls_of("npm ")
    assert call.startswith("npm ci --ignore-scripts")


def test_without_npm_the_mend_is_told(
    tmp_path: Path, source_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ImageBuildError, match="apt-get install npm"):
        ensure_node_modules(read_inputs(source_root), cache_dir=tmp_path, progress=silent)


def test_wheels_may_be_for_any_glibc_up_to_the_images_own() -> None:
    names = platforms("arm64")
    assert names[0] == "manylinux_2_36_aarch64"
    assert "manylinux_2_17_aarch64" in names
    assert names[-1] == "manylinux2014_aarch64"
