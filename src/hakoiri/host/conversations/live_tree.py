"""A container's directories as the files room wants them."""

from hakoiri.host.containers.model import ContainerDirectories
from hakoiri.host.files.ports import LiveTree


def live_tree(directories: ContainerDirectories) -> LiveTree:
    """Return the tree that is saved and restored."""
    return LiveTree(
        workspace=directories.workspace,
        home=directories.home,
        owner_uid=directories.owner_uid,
        owner_gid=directories.owner_gid,
    )
