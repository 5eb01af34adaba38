"""The server's view of the boxes, where it is a container: read-only but for their insides.

Under `hakoiri serve` the server's mount namespace makes the tree read-only for it. A container's
mounts are made by the engine, which has two ways to make one read-only: engines before 25 leave
what is mounted below as it is, newer ones make that read-only, too, and with it the boxes that live
while a server is started anew. So the guard makes the view: the tree mounted a second time, itself
read-only, and a receiver of what the guard mounts in the tree.
"""

from pathlib import Path
from typing import Final

from hakoiri.docker_guard.kernel_mounts import (
    MS_BIND,
    MS_NODEV,
    MS_NOSUID,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
    MS_SLAVE,
    bind,
    detach,
    is_mounted,
    mount,
)

VIEW_SUFFIX: Final = ".view"


def show_boxes(tree: Path, *, stage: Path) -> Path:
    """Mount the view of the tree beside it, unless it is there; return where. Raises `OSError`.

    What is mounted beside the tree must go out to the host. `stage` is made, in a directory of
    which nothing goes out: flags that are put on a mount in its place stay with us alone.
    """
    view = tree.with_name(tree.name + VIEW_SUFFIX)
    view.mkdir(mode=0o700, exist_ok=True)
    if is_mounted(view):
        return view
    stage.mkdir(mode=0o700, exist_ok=True)
    bind(tree, stage)
    try:
        mount(None, stage, flags=MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV)
        # it receives the tree's mounts, and none of its own go back
        mount(None, stage, flags=MS_SLAVE | MS_REC)
        bind(stage, view)
    finally:
        detach(stage)
    return view
