"""What the services of recovery points need from outside."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from hakoiri.host.containers.holding_still import Still
from hakoiri.host.conversations.model import Workspace
from hakoiri.host.conversations.ports import Containers, ConversationsError
from hakoiri.host.files.manifest import Entry
from hakoiri.host.files.point_diff import Difference
from hakoiri.host.files.point_files import PointOf, TakenOver
from hakoiri.host.files.points import PointReason, RecoveryPoint
from hakoiri.wire.events import ConversationEvent


class PointInUseError(ConversationsError):
    """The recovery point cannot be removed from the list now; the message says why."""


class TooManyKeptError(ConversationsError):
    """As many points as allowed are kept already."""


class HeadMovedError(ConversationsError):
    """The workspace has changed meanwhile; look at it again."""


@dataclass(frozen=True, slots=True)
class Restoring:
    """A restore, ready to be committed.

    `source` is the point whose files are taken, `undo` the newest one until now, `generation` that
    of the workspace until now. `text` goes into the conversation's log, if there is one.
    """

    workspace: Workspace
    source: str
    undo: str
    generation: int
    taken: TakenOver
    text: str
    now: datetime


@dataclass(frozen=True, slots=True)
class Forking:
    """A fork, ready to be committed: of the workspace alone if it gets no `conversation_id`."""

    source: RecoveryPoint
    tenant: str
    workspace_id: str
    conversation_id: str | None
    taken: TakenOver
    text: str
    now: datetime


class PointStore(Protocol):
    """Lists of recovery points. Another tenant's workspace raises `NoSuchWorkspaceError`.

    A point that is not listed raises `NoSuchPointError`.
    """

    async def points(
        self, *, tenant: str, workspace_id: str, limit: int, before: str | None
    ) -> Sequence[RecoveryPoint]:
        """Newest first, from before the given id on."""

    async def point(
        self, *, tenant: str, workspace_id: str, recovery_point: str | None
    ) -> RecoveryPoint:
        """Return one; without an id, the newest."""

    async def set_kept(
        self, *, tenant: str, workspace_id: str, recovery_point: str, is_kept: bool
    ) -> RecoveryPoint:
        """Keep it for good, or no longer; `TooManyKeptError`."""

    async def drop(self, *, tenant: str, workspace_id: str, recovery_point: str) -> None:
        """Take it from the list; `PointInUseError` for the newest."""

    async def commit_restore(self, restoring: Restoring) -> Sequence[ConversationEvent]:
        """Make the taken files the newest, in one transaction; return what the log got.

        The generation is counted up, and the workspace's claim is gone: a container from before
        can neither save any more nor be adopted. Raises `TurnRunningError`, `HeadMovedError`,
        `NoSuchPointError` if the source is no longer listed.
        """

    async def commit_fork(self, forking: Forking) -> None:
        """Store the new workspace, and its conversation with the events so far; as above."""


class PointFiles(Protocol):
    """The files of recovery points. Errors are `FilesError`."""

    async def take_over(
        self,
        source: PointOf,
        *,
        workspace_id: str,
        parent: str | None,
        generation: int,
        has_events: bool,
        reason: PointReason,
    ) -> TakenOver:
        """Write a manifest with the files of `source`, for a head that is moved next."""

    async def difference(
        self, before: PointOf, after: PointOf, *, limit: int, beyond: bytes | None
    ) -> Difference:
        """Compare the lists of two points."""

    async def file(self, point: PointOf, path: bytes) -> Entry:
        """Return the regular file at a path; `NoSuchFileError`."""

    def stream(self, point: PointOf, file: Entry) -> AsyncIterator[bytes]:
        """Yield its bytes."""


class StillContainers(Containers, Protocol):
    """Containers that can be held still."""

    def still(self, workspace_id: str) -> AbstractAsyncContextManager[Still]:
        """Freeze the live container and let nobody have it meanwhile; `WorkspaceInUseError`."""
