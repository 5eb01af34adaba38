"""What the files room needs from outside: a store of objects, and the heads of workspaces."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from hakoiri.host.files.points import NewPoint


class FilesError(Exception):
    """Files could not be saved or restored; the message says which and why."""


class ObjectMissingError(FilesError):
    """The store has no object under that key."""


class ObjectTooLargeError(FilesError):
    """The object is larger than the reader allows."""


class NoSuchFileError(FilesError):
    """The newest recovery point has no regular file at that path."""


class EditRefusedError(FilesError):
    """The path cannot be changed so; the message says why."""


class NoSpaceError(FilesError):
    """The workspace, or what may be in it, is full."""


class DamagedError(FilesError):
    """What is stored is not what was stored; the message names the path and the hash."""


class QuotaError(FilesError):
    """The files do not fit the disk that they are to be restored to; the message names both."""


class NoSuchPointError(FilesError):
    """The workspace's list has no such recovery point."""


class StaleGenerationError(FilesError):
    """A newer container of the workspace has already committed; this one may not any more."""


@dataclass(frozen=True, slots=True)
class LiveTree:
    """Where a workspace is live on this host, and who owns its files.

    `workspace` is the container's `/workspace`, `home` its home directory. Both are writable by the
    container: everything below them is hostile.
    """

    workspace: Path
    home: Path
    owner_uid: int
    owner_gid: int


@dataclass(frozen=True, slots=True)
class WorkspaceHead:
    """The newest committed recovery point of a workspace.

    `point` goes into the workspace's list when the head moves; it is not told when it is asked for.
    """

    recovery_point: str
    generation: int
    event_number: int
    point: NewPoint | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Named:
    """What a recovery point names of the store, for the moment in which it becomes live.

    `keys` are all its objects, the manifest too. `written` are those of them that whoever commits
    stored after reading `mark` (`WorkspaceHeads.collection_mark`); the others were there already.
    """

    keys: frozenset[str]
    written: frozenset[str] = frozenset()
    mark: int = 0


@dataclass(frozen=True, slots=True)
class Begun:
    """How many removals had ended when a save began, and when that was (monotonic seconds)."""

    mark: int
    at_s: float


class ObjectStore(Protocol):
    """Immutable objects under keys such as `tenants/t/packs/ab/abcd…`. Errors are `FilesError`."""

    async def put(self, key: str, data: bytes) -> None:
        """Store `data`, which survives a crash of the host when this returns.

        Replacing an object by the same bytes is harmless.
        """

    async def get(self, key: str, *, limit_bytes: int) -> bytes:
        """Read a whole object; `ObjectMissingError`, `ObjectTooLargeError`."""

    def stream(self, key: str) -> AsyncIterator[bytes]:
        """Read an object in chunks; `ObjectMissingError` on the first step."""

    async def check(self) -> None:
        """Raise `FilesError` if the store cannot be used now."""


class WorkspaceHeads(Protocol):
    """Where each workspace's newest recovery point is recorded."""

    async def head(self, workspace_id: str) -> WorkspaceHead | None:
        """Return the newest recovery point, or None before the first."""

    async def collection_mark(self) -> int:
        """Return how many removals from the store have ended; to be read before writing to it."""

    async def move_head(self, workspace_id: str, head: WorkspaceHead, named: Named) -> None:
        """Record `head` in one step; `StaleGenerationError` if its generation is an older one.

        In the same step, what it names is rescued from the collection of the store, or
        `CollectedError` (of `collection_ports`) tells what of it has gone.
        """


@dataclass(frozen=True, slots=True)
class ManifestName:
    """Which workspace's manifest of which recovery point."""

    workspace_id: str
    recovery_point: str


class LiveManifests(Protocol):
    """What of a tenant's store is needed."""

    async def live_manifests(self, tenant: str) -> frozenset[ManifestName]:
        """Return all manifests that a head or a list of recovery points names, in one snapshot.

        What none of them names may be collected, but for what a save, a restore or a fork writes
        just now: that is written before it is named.
        """
