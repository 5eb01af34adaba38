"""The user namespace of containers: what the engine says of it, and whether it is so."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from hakoiri.docker_guard.engine_client import Engine, unusable_answer
from hakoiri.docker_guard.ownership import IdMaps, Owner, contradiction, owner_told_by

FILES_BY_A_HELPER: Final = "runsc"
"""gVisor's sandbox has no user of ours; its gofer, a sibling, has, and opens files for it."""


class ShownProcesses(Protocol):
    """What the host shows of its processes."""

    def id_maps(self, pid: int) -> IdMaps | None:
        """Return how a process's ids are numbered here; None if it is gone."""

    def siblings(self, pid: int) -> Iterable[int]:
        """All children of its parent but itself."""


@dataclass(frozen=True, slots=True)
class _Running:
    pid: int
    runtime: str


class UserNamespace:
    """Knows who owns boxes, and holds each started container against it."""

    def __init__(self, *, engine: Engine, processes: ShownProcesses) -> None:
        """Collaborators; nothing is asked yet."""
        self._engine = engine
        self._processes = processes
        self._owner: Owner | None = None

    async def owner(self) -> Owner:
        """Return who owns boxes; asked once, for it cannot change while the engine runs.

        Raises `CallRefusedError`.
        """
        if self._owner is None:
            self._owner = owner_told_by(await self._ask("/info"))
        return self._owner

    async def require(self, engine_id: str) -> None:
        """Hold a started container against what the engine says; one that has ended passes.

        A container whose user is another is removed, and the engine asked anew the next time: it
        may have been started again, set up another way. Raises `CallRefusedError`.
        """
        owner = await self.owner()
        running = await self._running(engine_id)
        if running is None:
            return
        seen = self._maps_of(running)
        if any(maps.owns(owner) for maps in seen):
            return
        if not seen and await self._running(engine_id) is None:
            return  # it ended meanwhile
        self._owner = None
        query = {"force": "1", "v": "1"}
        await self._engine.call("DELETE", f"/containers/{engine_id}", query=query)
        raise contradiction(owner, seen[-1] if seen else None)

    def _maps_of(self, running: _Running) -> list[IdMaps]:
        pids = [running.pid]
        if running.runtime == FILES_BY_A_HELPER:
            pids += self._processes.siblings(running.pid)
        return [maps for pid in pids if (maps := self._processes.id_maps(pid)) is not None]

    async def _running(self, engine_id: str) -> _Running | None:
        """Return the container's first process; None if it has none any more."""
        shown = await self._ask(f"/containers/{engine_id}/json")
        state, host = shown.get("State"), shown.get("HostConfig")
        if not isinstance(state, dict) or not isinstance(host, dict):
            raise unusable_answer()
        pid = state.get("Pid")
        if not isinstance(pid, int):
            raise unusable_answer()
        return _Running(pid, str(host.get("Runtime"))) if pid > 0 else None

    async def _ask(self, path: str) -> dict[str, Any]:
        document = (await self._engine.call("GET", path)).document
        if not isinstance(document, dict):
            raise unusable_answer()
        return document
