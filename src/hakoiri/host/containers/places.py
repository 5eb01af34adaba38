"""One lock for each workspace, kept while somebody holds or awaits it."""

import asyncio
from dataclasses import dataclass, field


@dataclass(slots=True)
class Place:
    """One workspace's place: its lock orders claims, rebinds and removals."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0


class PlaceGuard:
    """Holds a workspace's lock, and forgets it when nobody waits for it any more."""

    def __init__(self, places: dict[str, Place], workspace_id: str) -> None:
        self._places = places
        self._workspace_id = workspace_id

    async def __aenter__(self) -> None:
        place = self._places.setdefault(self._workspace_id, Place())
        place.waiting += 1
        try:
            await place.lock.acquire()
        except BaseException:
            self._leave(place)
            raise

    async def __aexit__(self, *_: object) -> None:
        place = self._places[self._workspace_id]
        place.lock.release()
        self._leave(place)

    def _leave(self, place: Place) -> None:
        place.waiting -= 1
        if place.waiting == 0:
            self._places.pop(self._workspace_id, None)
