"""In-memory stand-ins for the ports of this room: for tests, and for trying things out."""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime

from hakoiri.host.files.collection import ARCHIVE_PREFIX, Listed
from hakoiri.host.files.memory_ledger import MemoryLedger
from hakoiri.host.files.ports import (
    ManifestName,
    Named,
    ObjectMissingError,
    ObjectTooLargeError,
    StaleGenerationError,
    WorkspaceHead,
)

_CHUNK_BYTES = 1024 * 1024
_PAGE_OBJECTS = 3


class MemoryObjectStore:
    """A `CollectableStore` that keeps all in `objects`, by key, and forgets all with the process.

    `modified` has the times of what was put since `clock` was given.
    """

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.objects: dict[str, bytes] = {}
        self.modified: dict[str, datetime] = {}
        self._clock = clock

    async def put(self, key: str, data: bytes) -> None:
        """Store `data`."""
        self.objects[key] = data
        self.modified[key] = self._clock()

    async def get(self, key: str, *, limit_bytes: int) -> bytes:
        """Return an object."""
        data = self._object(key)
        if len(data) > limit_bytes:
            raise ObjectTooLargeError(f"{key} has {len(data)} bytes, over {limit_bytes}")
        return data

    async def stream(self, key: str) -> AsyncIterator[bytes]:
        """Yield an object in chunks of up to 1 MiB."""
        data = self._object(key)
        for start in range(0, len(data), _CHUNK_BYTES):
            yield data[start : start + _CHUNK_BYTES]

    async def check(self) -> None:
        """Memory can always be used."""

    async def tenants(self) -> Sequence[str]:
        """Return the tenants of all keys."""
        keys = [key.removeprefix(ARCHIVE_PREFIX).split("/") for key in self.objects]
        return sorted({parts[1] for parts in keys if parts[0] == "tenants"})

    async def pages(self, prefix: str) -> AsyncIterator[Sequence[Listed]]:
        """Yield what there is below a folder, three at a time."""
        keys = [key for key in self.objects if key.startswith(prefix + "/")]
        for start in range(0, len(keys), _PAGE_OBJECTS):
            yield [
                Listed(key, len(self.objects[key]), self.modified[key])
                for key in keys[start : start + _PAGE_OBJECTS]
                if key in self.objects
            ]

    async def archive(self, key: str) -> None:
        """Move an object below `archive/`."""
        if key in self.objects:
            await self.put(ARCHIVE_PREFIX + key, self.objects[key])
            del self.objects[key]

    async def bring_back(self, key: str) -> None:
        """Copy it back."""
        await self.put(key, self._object(ARCHIVE_PREFIX + key))

    async def delete_archived(self, key: str) -> None:
        """Delete it from the archive."""
        self.objects.pop(ARCHIVE_PREFIX + key, None)

    async def drop_abandoned(self, *, before: datetime) -> int:
        """Nothing is ever broken off in memory."""
        del before
        return 0

    async def check_removal(self) -> None:
        """Memory lets everything go."""

    def _object(self, key: str) -> bytes:
        try:
            return self.objects[key]
        except KeyError:
            raise ObjectMissingError(f"the store has no object {key}") from None


class MemoryHeads:
    """`WorkspaceHeads` in a dictionary, `heads`, by workspace id.

    `ledger` is asked when a head moves; `tenants` of workspaces, where it is not `acme`.
    """

    def __init__(self, ledger: MemoryLedger | None = None) -> None:
        self.heads: dict[str, WorkspaceHead] = {}
        self.ledger = ledger or MemoryLedger()
        self.tenants: dict[str, str] = {}

    async def head(self, workspace_id: str) -> WorkspaceHead | None:
        """Return the newest recovery point."""
        return self.heads.get(workspace_id)

    async def collection_mark(self) -> int:
        """Return the number of the newest removal that ended."""
        return self.ledger.mark

    async def move_head(self, workspace_id: str, head: WorkspaceHead, named: Named) -> None:
        """Record `head`, fenced by its generation and by the ledger."""
        current = self.heads.get(workspace_id)
        if current is not None and head.generation < current.generation:
            raise StaleGenerationError(
                f"workspace {workspace_id}: generation {head.generation} is older than "
                f"{current.generation}"
            )
        self.ledger.keep(named)
        self.heads[workspace_id] = head

    async def overfull(self, tenant: str, *, now: datetime) -> Sequence[str]:
        """Return nobody: a head is all that is kept here."""
        del tenant, now
        return ()

    async def drop_expired(self, workspace_id: str, *, now: datetime) -> int:
        """Let none go."""
        del workspace_id, now
        return 0

    async def live_manifests(self, tenant: str) -> frozenset[ManifestName]:
        """Return heads, as `LiveManifests`."""
        return frozenset(
            ManifestName(workspace_id, head.recovery_point)
            for workspace_id, head in self.heads.items()
            if self.tenants.get(workspace_id, "acme") == tenant
        )
