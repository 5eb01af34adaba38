from pathlib import Path

import pytest
from tests.engine import mounts_below

from hakoiri.docker_guard import kernel_mounts
from hakoiri.docker_guard.kernel_mounts import (
    MS_NODEV,
    MS_NOSUID,
    MS_RDONLY,
    bind,
    detach,
    detach_below,
    is_mounted,
    mount,
    mount_points,
)

pytestmark = pytest.mark.root


def test_a_mount_is_listed_with_its_flags_and_its_strange_name(tree: Path) -> None:
    strange = tree / "a b\t\\c\n\u00e9"
    strange.mkdir()
    mount("tmpfs", strange, kind="tmpfs", flags=MS_NOSUID | MS_NODEV, options="size=64k")
    (found,) = [point for point in mount_points() if point.path == strange]
    assert found.flags == MS_NOSUID | MS_NODEV
    assert mount_points(below=strange) == mount_points(below=tree) == [found]
    assert mount_points(below=Path("/")) == mount_points()
    assert mount_points(below=tree / "a") == []
    detach(strange)
    assert strange not in [point.path for point in mount_points()]


def test_flags_are_put_on_a_bind_and_not_on_what_it_shows(tree: Path) -> None:
    source, target = tree / "source", tree / "target"
    source.mkdir()
    target.mkdir()
    bind(source, target, flags=MS_RDONLY)
    with pytest.raises(OSError, match="Read-only"):
        (target / "x").touch()
    (source / "x").touch()
    assert (target / "x").exists()


def test_a_mount_is_known_by_its_place_also_of_the_same_file_system(tree: Path) -> None:
    source, target, link = tree / "source", tree / "target", tree / "link"
    source.mkdir()
    target.mkdir()
    assert not is_mounted(target)
    bind(source, target)
    link.symlink_to(target)
    assert is_mounted(target)
    assert not is_mounted(source)
    assert not is_mounted(link)
    assert not is_mounted(tree / "none")
    detach(target)
    assert not is_mounted(target)


def test_all_below_is_taken_away_innermost_first_and_nothing_beside(tree: Path) -> None:
    inside, beside = tree / "a" / "b", tree / "ab"
    inside.mkdir(parents=True)
    beside.mkdir()
    for path in (tree / "a", beside):
        mount("tmpfs", path, kind="tmpfs", flags=0)
    inside.mkdir()
    mount("tmpfs", inside, kind="tmpfs", flags=0)
    mount("tmpfs", inside, kind="tmpfs", flags=0)
    detach_below(tree / "a")
    assert mounts_below(tree) == [beside]


def test_a_refusal_of_the_kernel_names_the_place(tree: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        mount("tmpfs", tree / "nowhere", kind="tmpfs", flags=0)
    with pytest.raises(OSError, match="Invalid argument"):
        detach(tree)


def test_what_is_no_mount_any_more_is_passed_over(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = [kernel_mounts.MountPoint(tree, 0)]
    monkeypatch.setattr(kernel_mounts, "mount_points", lambda *, below: gone)
    detach_below(tree)
