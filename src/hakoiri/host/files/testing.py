"""In-memory stand-ins for the ports of this room: for tests, and for trying things out."""

from collections.abc import AsyncIterator

from hakoiri.host.files.ports import (
    ObjectMissingError,
    ObjectTooLargeError,
    StaleGenerationError,
    WorkspaceHead,
)

_CHUNK_BYTES = 1024 * 1024


class MemoryObjectStore:
    """An `ObjectStore` that keeps all in `objects`, by key, and forgets all with the process."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    async def put(self, key: str, data: bytes) -> None:
        """Store `data`."""
        self.objects[key] = data

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

    async def flush(self) -> None:
        """Memory has nothing to flush."""

    async def check(self) -> None:
        """Memory can always be used."""

    def _object(self, key: str) -> bytes:
        try:
            return self.objects[key]
        except KeyError:
            raise ObjectMissingError(f"the store has no object {key}") from None


class MemoryHeads:
    """`WorkspaceHeads` in a dictionary, `heads`, by workspace id."""

    def __init__(self) -> None:
        self.heads: dict[str, WorkspaceHead] = {}

    async def head(self, workspace_id: str) -> WorkspaceHead | None:
        """Return the newest recovery point."""
        return self.heads.get(workspace_id)

    async def move_head(self, workspace_id: str, head: WorkspaceHead) -> None:
        """Record `head`, fenced by its generation."""
        current = self.heads.get(workspace_id)
        if current is not None and head.generation < current.generation:
            raise StaleGenerationError(
                f"workspace {workspace_id}: generation {head.generation} is older than "
                f"{current.generation}"
            )
        self.heads[workspace_id] = head
