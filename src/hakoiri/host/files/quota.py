"""How full a live tree's two disks are, and whether a recovery point fits them.

A container's workspace and home are file systems of their own, of a size that the docker guard set:
`statvfs` is the quota's own word.
"""

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from hakoiri.host.files.manifest import Entry, Manifest
from hakoiri.host.files.paths import Root
from hakoiri.host.files.ports import FilesError, QuotaError

MIB: Final = 1024 * 1024
NEARLY_FULL_PERCENT: Final = 90
SYMLINK_IN_INODE_BYTES: Final = 60
"""A shorter target takes no block (ext4(5), fast symlinks)."""

QUOTA_OF: Final[Mapping[Root, str]] = {"workspace": "container.workspace", "home": "container.home"}


@dataclass(frozen=True, slots=True)
class DiskUse:
    """What of one disk is in use, and its quota; bytes without the file system's own tables."""

    used_bytes: int
    quota_bytes: int
    used_inodes: int
    quota_inodes: int
    block_bytes: int = 4096

    @classmethod
    def of(cls, directory: Path) -> Self:
        """Ask the disk that `directory` is on; raise `FilesError` if it does not answer."""
        try:
            about = os.statvfs(directory)
        except OSError as error:
            raise FilesError(f"cannot ask how full {directory} is: {error.strerror}") from error
        used_blocks = about.f_blocks - about.f_bfree
        return cls(
            used_bytes=used_blocks * about.f_frsize,
            # not all that is free can be had: ext4 keeps 2 % for its own tables
            quota_bytes=(used_blocks + about.f_bavail) * about.f_frsize,
            used_inodes=about.f_files - about.f_ffree,
            quota_inodes=about.f_files,
            block_bytes=about.f_frsize,
        )

    @property
    def fullest_percent(self) -> int:
        """How full it is, by bytes or by inodes, whichever is more; rounded down."""
        return max(
            100 * self.used_bytes // max(self.quota_bytes, 1),
            100 * self.used_inodes // max(self.quota_inodes, 1),
        )

    @property
    def is_nearly_full(self) -> bool:
        """Whether it is over 90 % of bytes or of inodes."""
        return (
            100 * self.used_bytes > NEARLY_FULL_PERCENT * self.quota_bytes
            or 100 * self.used_inodes > NEARLY_FULL_PERCENT * self.quota_inodes
        )


@dataclass(frozen=True, slots=True)
class TreeUse:
    """How full a live tree is."""

    workspace: DiskUse
    home: DiskUse

    @classmethod
    def of(cls, *, workspace: Path, home: Path) -> Self:
        """Ask both disks; raise `FilesError`."""
        return cls(workspace=DiskUse.of(workspace), home=DiskUse.of(home))

    @property
    def disks(self) -> Mapping[Root, DiskUse]:
        """Both, by the root that is on them."""
        return {"workspace": self.workspace, "home": self.home}


def check_fits(manifest: Manifest, use: TreeUse) -> None:
    """Raise `QuotaError` if the recovery point needs more than one of the disks has left.

    What it needs is counted low: a workspace that was saved when its disk was full fits again.
    """
    for root, disk in use.disks.items():
        entries = [entry for entry in manifest.entries if entry.root == root]
        needed_bytes = sum(_blocks(entry, disk.block_bytes) for entry in entries) * disk.block_bytes
        for what, needed, left, setting in (
            ("bytes", needed_bytes, disk.quota_bytes - disk.used_bytes, f"{QUOTA_OF[root]}_mib"),
            (
                "inodes",
                len(entries),
                disk.quota_inodes - disk.used_inodes,
                f"{QUOTA_OF[root]}_inodes",
            ),
        ):
            if needed > left:
                raise QuotaError(
                    f"the recovery point needs {needed} {what} in the {root}, over the {left} that "
                    f"its quota leaves; raise {setting}"
                )


def nearly_full(use: TreeUse) -> list[str]:
    """Return a sentence for each disk that is over 90 % of its bytes or inodes."""
    return [
        f"{where} is {disk.fullest_percent} % full: {disk.used_bytes // MIB} of "
        f"{disk.quota_bytes // MIB} MiB and {disk.used_inodes} of {disk.quota_inodes} inodes."
        for where, disk in (("/workspace", use.workspace), ("The home directory", use.home))
        if disk.is_nearly_full
    ]


def total_use(disks: Iterable[tuple[Path, Path]]) -> tuple[int, int]:
    """Return the bytes in use on many workspaces' disks, and how many workspaces are nearly full.

    `disks` are workspace and home of each; those that are just being removed count nothing.
    """
    uses = []
    for workspace, home in disks:
        with suppress(FilesError):
            uses.append(TreeUse.of(workspace=workspace, home=home))
    used_bytes = sum(use.workspace.used_bytes + use.home.used_bytes for use in uses)
    return used_bytes, sum(bool(nearly_full(use)) for use in uses)


def _blocks(entry: Entry, block_bytes: int) -> int:
    if entry.kind == "directory":
        return 1
    if entry.kind == "symlink":
        return int(len(entry.target) >= SYMLINK_IN_INODE_BYTES)
    return -(-entry.size // block_bytes)
