"""The directories of boxes on this host: made, mounted, removed, by the guard alone.

Below the tree, where only root and the guard may write, each container has four directories. The
two that hold files are disks (`disks`), and the one for the agent's socket is a mount as well:
whoever is given the tree to see read-only still writes inside them, and can replace none of them.
The fourth shows the proxy's directory, taken hold of by descriptor and without following a link. A
container owns what is in its directories, so removal takes nothing about them for granted: names,
depth, modes and links are hostile.
"""

import asyncio
import errno
import os
from pathlib import Path
from typing import Final

from hakoiri.docker_guard.disks import Disks, let_pass
from hakoiri.docker_guard.kernel_mounts import (
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    bind,
    detach,
    detach_below,
    is_mounted,
    mount,
)
from hakoiri.docker_guard.ownership import Owner
from hakoiri.docker_guard.refusal import CallRefusedError
from hakoiri.wire.guard import (
    SOURCE_AGENT,
    SOURCE_HOME,
    SOURCE_PROXY,
    SOURCE_WORKSPACE,
)

REMOVAL_TIMEOUT_S: Final = 120.0
SAFE: Final = MS_NOSUID | MS_NODEV
AGENT_OPTIONS: Final = "size=64k,nr_inodes=16,mode=0700"
"""A container can put a socket there, and no more: it can fill neither the host's memory nor its
table of inodes."""


class Boxes:
    """`tree/<container>/{workspace,home,agent,proxy}`."""

    def __init__(
        self,
        *,
        tree: Path,
        disks: Disks,
        stage: Path,
        proxy_sockets: Path | None,
        proxy_uid: int,
    ) -> None:
        """Keep boxes under `tree`; `proxy_sockets` holds each container's socket directory.

        `stage` is a directory of the guard's own, outside of the tree.
        """
        self._tree = tree
        self._disks = disks
        self._stage = stage
        self._proxy_sockets = proxy_sockets
        self._proxy_uid = proxy_uid

    def paths(self, container_id: str) -> dict[str, Path]:
        """Return where the host sees a container's directories, by the names mounts may have."""
        base = self._tree / container_id
        names = (SOURCE_WORKSPACE, SOURCE_HOME, SOURCE_AGENT, SOURCE_PROXY)
        return {name: base / name for name in names}

    def sources(self, container_id: str) -> dict[str, Path]:
        """Return what the engine mounts: the same, where the box may execute in its disks."""
        return self.paths(container_id) | self._disks.paths(container_id)

    def make(self, container_id: str, *, owner: Owner) -> dict[str, Path]:
        """Make a container's directories for `owner`; raise `CallRefusedError` if it cannot be."""
        paths = self.paths(container_id)
        try:
            (self._tree / container_id).mkdir(mode=0o700)
        except FileExistsError:
            raise CallRefusedError(
                "box-exists", f"{container_id} has its directories", status=409
            ) from None
        except OSError as error:
            raise _failed(f"make the directories of {container_id}", error) from error
        try:
            let_pass(owner, self._tree, self._tree / container_id)
            for path in paths.values():
                path.mkdir(mode=0o700)
            self._disks.make(container_id, shown=paths, owner=owner)
            mount(
                "tmpfs",
                paths[SOURCE_AGENT],
                kind="tmpfs",
                flags=SAFE | MS_NOEXEC,
                options=f"{AGENT_OPTIONS},uid={owner.uid},gid={owner.gid}",
            )
        except BaseException as error:
            self._unmount(container_id)
            if not isinstance(error, OSError):
                raise
            raise _failed(f"make the directories of {container_id}", error) from error
        return paths

    def find(self, container_id: str) -> dict[str, Path]:
        """Return the paths of directories that are there; `CallRefusedError` if they are not.

        They are there with what is mounted on them: below a mount that is gone lies an empty
        directory, which must not be taken for a workspace whose files were all removed.
        """
        paths = self.paths(container_id)
        if not (is_mounted(paths[SOURCE_WORKSPACE]) and is_mounted(paths[SOURCE_HOME])):
            raise CallRefusedError("no-box", f"{container_id} has no directories", status=404)
        return paths

    def show_proxy(self, container_id: str) -> None:
        """Mount the proxy's directory for the container; raise `CallRefusedError` if it is none."""
        target = self.paths(container_id)[SOURCE_PROXY]
        if self._proxy_sockets is None:
            raise CallRefusedError("no-proxy", "this guard was not told where proxy sockets are")
        if not target.is_dir():
            raise CallRefusedError("no-box", f"first PUT /boxes/{container_id}", status=409)
        if is_mounted(target):
            return
        try:
            source = os.open(
                self._proxy_sockets / container_id, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW
            )
        except OSError as error:
            raise _failed(f"find the proxy's directory for {container_id}", error) from error
        try:
            if os.fstat(source).st_uid != self._proxy_uid:
                raise CallRefusedError(
                    "proxy-directory-foreign", f"{container_id}: not the proxy's directory"
                )
            self._bind(f"/proc/self/fd/{source}", target, flags=SAFE | MS_NOEXEC | MS_RDONLY)
        except OSError as error:
            raise _failed(f"show the proxy's directory to {container_id}", error) from error
        finally:
            os.close(source)

    def _bind(self, source: str | Path, target: Path, *, flags: int) -> None:
        """Bind with flags that also those have who receive the mount.

        Flags that are put on a mount in its place stay with us alone; a copy takes them along. So
        they are put on at a place that nobody sees, and the copy is what is mounted in the tree.
        """
        bind(source, self._stage, flags=flags)
        try:
            # no peer of the tree, or what is mounted there would come here, and go with it again
            mount(None, self._stage, flags=MS_PRIVATE)
            bind(self._stage, target)
        finally:
            detach(self._stage)

    def _unmount(self, container_id: str) -> None:
        self._disks.unmount(container_id)
        detach_below(self._tree / container_id)

    async def remove(self, container_id: str) -> None:
        """Remove a container's directories with all that is in them; nothing if they are gone.

        `rm` removes trees of any depth without following links and without crossing into another
        file system, which `shutil.rmtree` (recursive) does not.
        """
        try:
            await asyncio.to_thread(self._unmount, container_id)
        except OSError as error:
            raise _failed(f"unmount the directories of {container_id}", error) from error
        # the tree's last: as long as it is there, the box counts as present
        for base in (self._disks.directory_of(container_id), self._tree / container_id):
            await _remove_tree(base)

    def present(self) -> list[str]:
        """Ids of the containers that have directories, or what is left of some."""
        try:
            ids = {entry.name for entry in self._tree.iterdir()}
            return sorted(ids.union(self._disks.present()))
        except OSError as error:
            raise _failed("list the boxes", error) from error

    def trouble(self) -> str | None:
        """Say why no box can be made now, and the mend; None if one can."""
        return self._disks.trouble()


async def _remove_tree(base: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *("rm", "-rf", "--one-file-system", "--", str(base)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(REMOVAL_TIMEOUT_S):
            _, said = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise CallRefusedError(
            "box-failed", f"removing {base} took over {REMOVAL_TIMEOUT_S:.0f} s", status=500
        ) from None
    if process.returncode:
        why = said.decode(errors="replace")[:500]
        raise CallRefusedError("box-failed", f"cannot remove {base}: {why}", status=500)


def _failed(what: str, error: OSError) -> CallRefusedError:
    detail = f"cannot {what}: {error.strerror or error}"
    if error.errno == errno.ENOSPC:
        return CallRefusedError("disk-full", f"{detail}; free some of the host's disk", status=507)
    return CallRefusedError("box-failed", detail, status=500)
