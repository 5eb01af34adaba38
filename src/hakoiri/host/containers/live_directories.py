"""The directories of live containers on this host: made, handed over, removed.

A container owns what is in its directories, so removal takes nothing about them for granted: names,
depth, modes and links are hostile.
"""

import asyncio
import os
from pathlib import Path

from hakoiri.host.containers.model import ContainerDirectories
from hakoiri.host.containers.ports import ContainersError

REMOVAL_TIMEOUT_S = 120.0


class LiveDirectories:
    """`root/<container>/{workspace,home}`, owned by the container's user."""

    def __init__(self, *, root: Path, owner_uid: int, owner_gid: int) -> None:
        """Keep containers' directories under `root`, which only the server may enter."""
        self._root = root
        self._uid = owner_uid
        self._gid = owner_gid

    def make(self, container_id: str) -> ContainerDirectories:
        """Make a container's directories; raise `ContainersError` if that cannot be done."""
        base = self._root / container_id
        workspace, home = base / "workspace", base / "home"
        try:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            base.mkdir(mode=0o700)
            for directory in (workspace, home):
                directory.mkdir(mode=0o700)
                os.chown(directory, self._uid, self._gid, follow_symlinks=False)
        except OSError as error:
            raise ContainersError(f"cannot make the directories of {container_id}: {error}") from (
                error
            )
        return ContainerDirectories(workspace, home, self._uid, self._gid)

    async def remove(self, container_id: str) -> None:
        """Remove a container's directories with all that is in them; nothing if they are gone.

        `rm` removes trees of any depth without following links and without crossing into another
        file system, which `shutil.rmtree` (recursive) does not.
        """
        base = self._root / container_id
        process = await asyncio.create_subprocess_exec(
            "rm",
            "-rf",
            "--one-file-system",
            "--",
            str(base),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(REMOVAL_TIMEOUT_S):
                _, said = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise ContainersError(f"removing {base} took over {REMOVAL_TIMEOUT_S:.0f} s") from None
        if process.returncode:
            raise ContainersError(f"cannot remove {base}: {said.decode(errors='replace')[:500]}")

    def present(self) -> list[str]:
        """Ids of the containers that have directories."""
        try:
            return sorted(entry.name for entry in self._root.iterdir())
        except FileNotFoundError:
            return []
