"""One place for each workspace: its lock orders claims, rebinds, pauses and removals."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Place:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0


class Places:
    """Hands out workspaces' locks, and forgets each when nobody waits for it any more."""

    def __init__(self) -> None:
        self._places: dict[str, _Place] = {}

    def __len__(self) -> int:
        """How many are held or waited for."""
        return len(self._places)

    @asynccontextmanager
    async def hold(self, workspace_id: str) -> AsyncIterator[None]:
        """Hold the workspace's place; one holder at a time."""
        place = self._places.setdefault(workspace_id, _Place())
        place.waiting += 1
        try:
            async with place.lock:
                yield
        finally:
            place.waiting -= 1
            if place.waiting == 0:
                self._places.pop(workspace_id, None)
