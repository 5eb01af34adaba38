"""Servers that do not come back: their workspaces go on from their last recovery points.

A server is gone when the lease in its name has been free for longer than it may be silent. Then its
claims are given up, each in one transaction that also fences it off: the workspace's generation is
counted up, so that it saves nothing more, and a notice is added to the log, so that it appends
nothing more. That holds whether or not it was really gone.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import structlog

from hakoiri.host.containers.ports import ClaimRecord
from hakoiri.host.conversations.event_feed import EventFeed
from hakoiri.host.conversations.turn_history import TAKEN_OVER
from hakoiri.host.coordination.ports import Coordination, CoordinationAwayError, Lease
from hakoiri.host.coordination.presence import presence_name
from hakoiri.host.coordination.silence import Silence
from hakoiri.wire.events import ConversationEvent, Notice

log = structlog.get_logger(__name__)


class OthersClaims(Protocol):
    """What other servers have."""

    async def others(self) -> Mapping[str, Sequence[ClaimRecord]]:
        """All claims of other servers, by their marks; `ContainersError`."""


class ClaimTakeOver(Protocol):
    """Gives up what another server has claimed. Raises `StoreError`."""

    async def give_up(
        self, record: ClaimRecord, *, notice: Notice, now: datetime
    ) -> Sequence[ConversationEvent] | None:
        """Forget the claim, count the generation up, and tell the workspace's conversation.

        Return what was added to its log: nothing if it has no conversation, None if the claim was
        gone already.
        """


class LostServers:
    """Looks after what servers leave behind that are gone for good."""

    def __init__(
        self,
        *,
        coordination: Coordination,
        claims: OthersClaims,
        take_over: ClaimTakeOver,
        feed: EventFeed,
        take_up_turns: Callable[[], Awaitable[object]],
        limit_s: float,
        clock: Callable[[], float],
        now: Callable[[], datetime],
    ) -> None:
        """`limit_s` is how long a server may be silent; `clock` gives monotonic seconds."""
        self._coordination = coordination
        self._claims = claims
        self._take_over = take_over
        self._feed = feed
        self._take_up_turns = take_up_turns
        self._silence = Silence(limit_s=limit_s)
        self._clock = clock
        self._now = now

    async def step(self) -> int:
        """Look at each server that has claims; return how many workspaces were taken over.

        Raises `StoreError`, `ContainersError`.
        """
        others = await self._claims.others()
        self._silence.follow_only(others)
        taken = 0
        for mark, records in others.items():
            taken += await self._look_at(mark, records)
        if taken:
            await self._take_up_turns()
        return taken

    async def _look_at(self, mark: str, records: Sequence[ClaimRecord]) -> int:
        try:
            lease = await self._coordination.leases.acquire(presence_name(mark))
        except CoordinationAwayError:
            lease = None
        if lease is None:
            self._silence.heard(mark)
            return 0
        try:
            return await self._take(mark, records, lease) if self._is_gone(mark, lease) else 0
        finally:
            await lease.release()

    def _is_gone(self, mark: str, lease: Lease) -> bool:
        """Whether nobody can have the lease, and nobody had it for as long as may be.

        One that was given on our word alone, as nobody could be asked, says nothing.
        """
        if self._coordination.failure() is not None or not (lease.is_held and lease.is_sole):
            self._silence.heard(mark)
            return False
        return self._silence.is_over_limit(mark, now_s=self._clock())

    async def _take(self, mark: str, records: Sequence[ClaimRecord], lease: Lease) -> int:
        """Give the claims up while the lease keeps the server, if it comes back, from adopting."""
        taken = 0
        for record in records:
            if not lease.is_held:
                break
            told = await self._take_over.give_up(record, notice=TAKEN_OVER, now=self._now())
            if told is None:
                continue
            taken += 1
            log.warning(
                "workspace_taken_over",
                workspace=record.workspace_id,
                container=record.container_id,
                server=mark,
            )
            if told:
                self._feed.publish(told)
        return taken
