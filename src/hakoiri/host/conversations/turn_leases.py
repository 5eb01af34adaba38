"""Which server runs a conversation's turn: the lease of it, shared by turns that follow closely.

A turn's lease is given back after its end is recorded. Who reads the end may begin the next turn
before that; the next one then goes on with the lease of the last.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import anyio

from hakoiri.host.conversations.ports import TurnRunningError
from hakoiri.host.coordination.ports import (
    CoordinationAwayError,
    Lease,
    Leases,
    UnsettledError,
)

ATTEMPTS: Final = 5
ATTEMPT_PAUSE_S: Final = 0.05
"""Between the record of a turn's end and its lease given back lie a few milliseconds."""


@dataclass(slots=True, eq=False)
class _Taken:
    lease: Lease
    users: int


class TurnLeases:
    """Leases of conversations. Not to be taken twice at once for the same conversation."""

    def __init__(self, leases: Leases) -> None:
        """Nothing is taken yet."""
        self._leases = leases
        self._taken: dict[str, _Taken] = {}

    @asynccontextmanager
    async def beginning(
        self, conversation_id: str, *, is_running: Callable[[], Awaitable[bool]]
    ) -> AsyncIterator[Lease]:
        """Take the lease for a turn that begins in the block; if it does not, give it back.

        `is_running` says whether a turn is recorded as running. Raises `TurnRunningError` if
        another server has the lease, `CoordinationAwayError`.
        """
        lease = await self._take(conversation_id)
        for _ in range(ATTEMPTS):
            if lease is not None or await is_running():
                break
            await anyio.sleep(ATTEMPT_PAUSE_S)
            lease = await self._take(conversation_id)
        if lease is None:
            raise TurnRunningError(
                "a turn is running in this conversation; wait for its end or interrupt it"
            )
        try:
            yield lease
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self.give_back(conversation_id)
            raise

    async def give_back(self, conversation_id: str) -> None:
        """End one use; the last one gives the lease back."""
        taken = self._taken.get(conversation_id)
        if taken is None:
            return
        taken.users -= 1
        if taken.users == 0:
            del self._taken[conversation_id]
            await taken.lease.release()

    async def _take(self, conversation_id: str) -> Lease | None:
        taken = self._taken.get(conversation_id)
        if taken is None:
            lease = await self._leases.acquire(f"turn:{conversation_id}")
            if lease is not None:
                self._taken[conversation_id] = _Taken(lease, users=1)
            return lease
        if not taken.lease.is_held:
            raise CoordinationAwayError(
                "the lease of the conversation's last turn has run out; nothing is begun on it"
            )
        taken.users += 1
        return taken.lease


def check_held(lease: Lease) -> None:
    """Raise `CoordinationAwayError` for a lease that ran out before the turn could begin."""
    if not lease.is_held:
        raise CoordinationAwayError("the lease ran out before the turn could begin")


def check_left_behind(lease: Lease) -> None:
    """Raise `UnsettledError` unless a turn that is recorded as running can be nobody else's."""
    if not (lease.is_held and lease.is_sole):
        raise UnsettledError(
            "the conversation's last turn may still run on another server; try again in a moment"
        )
