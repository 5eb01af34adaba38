"""The server's view of the boxes where it is a container, with the kernel's own mounts."""

import errno
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engine import mounts_below

from hakoiri.cli.supervisor.boxes_view import show_boxes
from hakoiri.docker_guard.kernel_mounts import (
    MS_PRIVATE,
    MS_SHARED,
    bind,
    detach,
    mount,
    mount_points,
)

pytestmark = pytest.mark.root


@pytest.fixture
def live() -> Iterator[Path]:
    """What host.sh makes: a directory whose mounts are shared, with the tree of one instance."""
    made = Path(tempfile.mkdtemp(prefix="hakoiri-live-"))
    live = made / "live"
    live.mkdir()
    bind(live, live)
    mount(None, live, flags=MS_PRIVATE)
    mount(None, live, flags=MS_SHARED)
    (live / "i1" / "old").mkdir(parents=True)
    (live / "i1" / "new").mkdir()
    yield live
    for mounted in mounts_below(made):
        subprocess.run(["umount", "--lazy", str(mounted)], check=False)
    shutil.rmtree(made)


def shown(live: Path) -> Path:
    stage = live.parent / "stage"
    return show_boxes(live / "i1", stage=stage)


def refuses(path: Path) -> bool:
    with pytest.raises(OSError, match="Read-only") as refused:
        path.mkdir()
    return refused.value.errno == errno.EROFS


def test_boxes_from_before_and_after_can_be_written_and_what_is_around_them_cannot(
    live: Path,
) -> None:
    mount("tmpfs", live / "i1/old", kind="tmpfs", flags=0)
    view = shown(live)
    mount("tmpfs", live / "i1/new", kind="tmpfs", flags=0)
    for box in ("old", "new"):
        (view / box / "written").touch()
        assert (live / "i1" / box / "written").exists()
    assert refuses(view / "third")
    with pytest.raises(OSError, match="Read-only"):
        (view / "old").rename(view / "other")
    with pytest.raises(OSError, match="Read-only"):
        (view / "link").symlink_to("/etc")
    (live / "i1/third").mkdir()
    assert (view / "third").is_dir()


def test_what_leaves_the_tree_leaves_the_view(live: Path) -> None:
    mount("tmpfs", live / "i1/old", kind="tmpfs", flags=0)
    view = shown(live)
    (live / "i1/old/file").touch()
    assert (view / "old/file").exists()
    detach(live / "i1/old")
    assert not (view / "old/file").exists()


def test_nothing_that_is_mounted_in_the_view_goes_back(live: Path) -> None:
    view = shown(live)
    mount("tmpfs", view / "old", kind="tmpfs", flags=0)
    assert live / "i1/old" not in {point.path for point in mount_points()}


def test_it_is_made_once_and_the_stage_holds_nothing(live: Path) -> None:
    assert shown(live) == shown(live) == live / "i1.view"
    paths = [point.path for point in mount_points()]
    assert paths.count(live / "i1.view") == 1
    assert live.parent / "stage" not in paths
    assert list((live.parent / "stage").iterdir()) == []
