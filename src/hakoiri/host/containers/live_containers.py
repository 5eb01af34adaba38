"""What is live, to be looked at, and who may change it: nothing here does."""

from pathlib import Path

from hakoiri.host.containers.gc import Member
from hakoiri.host.containers.live import Live
from hakoiri.host.containers.places import Place, PlaceGuard


class LiveContainers:
    """The live containers by workspace; the orchestrator, which is one, puts them in and out."""

    def __init__(self) -> None:
        self._live: dict[str, Live] = {}
        self._places: dict[str, Place] = {}

    def place(self, workspace_id: str) -> PlaceGuard:
        """Return the workspace's lock: who holds it changes what is live in it, alone."""
        return PlaceGuard(self._places, workspace_id)

    def holders(self, workspace_id: str) -> frozenset[str] | None:
        """Who uses the workspace's live container now; None if none is live."""
        live = self._live.get(workspace_id)
        return None if live is None else frozenset(live.holders)

    def workspace_in(self, container_id: str) -> str | None:
        """Return the workspace that is live in a container; None if none is."""
        for live in self._live.values():
            if live.container.container_id == container_id:
                return live.workspace_id
        return None

    def live_disks(self) -> list[tuple[Path, Path]]:
        """Where workspace and home of every live container are seen on this host."""
        all_directories = [live.container.directories for live in self._live.values()]
        return [(one.workspace, one.home) for one in all_directories]

    def members(self) -> list[Member]:
        """Return the live containers, idle or not."""
        return [live.member for live in self._live.values()]

    def live_in(self, workspace_id: str, container_id: str | None = None) -> Live | None:
        """Return the workspace's live container, if it has one; if one is named, only that.

        A container may have been replaced since somebody looked: who means one names it.
        """
        live = self._live.get(workspace_id)
        if live is None or container_id in (None, live.container.container_id):
            return live
        return None

    def paused_containers(self) -> int:
        """How many live containers are frozen."""
        return sum(member.is_frozen for member in self.members())
