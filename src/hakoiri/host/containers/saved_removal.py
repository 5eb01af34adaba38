"""How an idle container goes: frozen, saved, and only then removed.

A save may take long, and a message that comes meanwhile does not wait for it: the container is
thawed for it and stays.
"""

from enum import Enum, auto

from hakoiri.host.containers.last_save import SOMEBODY_WAITS_S, UNHURRIED_S, LastSave
from hakoiri.host.containers.live import Live
from hakoiri.host.containers.live_containers import LiveContainers
from hakoiri.host.containers.removal import Removal


class Outcome(Enum):
    """What became of a container that was to go."""

    REMOVED = auto()
    """It has gone, and all it held is in a recovery point."""

    USED = auto()
    """Somebody uses it, or did meanwhile; or there is none."""

    UNSAVED = auto()
    """Its files could not be saved: it stays, with the only copy."""


class SavedRemoval:
    """Removes live containers after their last save."""

    def __init__(self, removal: Removal, *, live: LiveContainers, last_save: LastSave) -> None:
        self._removal = removal
        self._live = live
        self._last_save = last_save

    async def of_idle(
        self,
        workspace_id: str,
        reason: str,
        *,
        container_id: str | None = None,
        is_hurried: bool = True,
    ) -> Outcome:
        """Remove the workspace's container if nobody uses it; if one is named, only that.

        If it `is_hurried` somebody waits, and a save that takes long is given up. Raises
        `ContainersError` if what runs in it cannot be stopped.
        """
        async with self._live.place(workspace_id):
            live = self._live.live_in(workspace_id, container_id)
            if live is None or live.idle_since_s is None:
                return Outcome.USED
            await self._last_save.hold(live)
            uses, state = live.uses, live.container.state
        limit_s = SOMEBODY_WAITS_S if is_hurried else UNHURRIED_S
        is_saved = await self._last_save.of(live, limit_s=limit_s)
        async with self._live.place(workspace_id):
            is_there = self._live.live_in(workspace_id) is live
            if not is_there or live.uses != uses or live.container.state is not state:
                return Outcome.USED
            live.is_unsaved = not is_saved
            if not is_saved:
                return Outcome.UNSAVED
            await self._removal.of(live, reason)
            return Outcome.REMOVED

    async def of_held(self, live: Live, reason: str, *, is_replaced: bool = False) -> bool:
        """Remove it now; False if its files cannot be saved.

        The caller holds the workspace's place, and answers for it that nobody else uses it. Raises
        `ContainersError` if what runs in it cannot be stopped.
        """
        if not await self._is_saved(live, limit_s=SOMEBODY_WAITS_S):
            return False
        await self._removal.of(live, reason, is_replaced=is_replaced)
        return True

    async def of_unused(self, live: Live, reason: str, *, holder: str, now_s: float) -> None:
        """Remove it for one who never came to use it, as `of_held`; others may have before."""
        if live.was_used_before(holder):
            live.let_go(holder, now_s=now_s)
            await self.of_held(live, reason)
        else:
            await self._removal.of(live, reason)

    async def save_at_end(self, workspace_id: str, *, container_id: str) -> bool:
        """Save a container that is to go with its server, whoever uses it; whether that was done.

        Raises `ContainersError` if what runs in it cannot be stopped.
        """
        async with self._live.place(workspace_id):
            live = self._live.live_in(workspace_id, container_id)
            if live is None:
                return True
            is_saved = await self._is_saved(live, limit_s=UNHURRIED_S)
            if is_saved:
                live.holders.clear()
            return is_saved

    async def _is_saved(self, live: Live, *, limit_s: float) -> bool:
        await self._last_save.hold(live)
        live.is_unsaved = not await self._last_save.of(live, limit_s=limit_s)
        return not live.is_unsaved
