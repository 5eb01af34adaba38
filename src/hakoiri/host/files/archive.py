"""An object store that looks into its archive for what is not in its place."""

from collections.abc import AsyncIterator

import structlog

from hakoiri.host.files.collection_ports import CollectableStore
from hakoiri.host.files.ports import FilesError, ObjectMissingError

logger = structlog.get_logger()


class StoreWithArchive:
    """An `ObjectStore` over one that has an archive.

    The collection archives only what nothing live names, so nothing that is read should be there.
    If it is, it is brought back, and the log says so; if the archive cannot give it at once (a
    Glacier tier), the error says what to do.
    """

    def __init__(self, store: CollectableStore) -> None:
        self._store = store

    async def put(self, key: str, data: bytes) -> None:
        """Store `data`."""
        await self._store.put(key, data)

    async def get(self, key: str, *, limit_bytes: int) -> bytes:
        """Read a whole object, from the archive if it must be."""
        try:
            return await self._store.get(key, limit_bytes=limit_bytes)
        except ObjectMissingError as error:
            await self._bring_back(key, error)
        return await self._store.get(key, limit_bytes=limit_bytes)

    async def stream(self, key: str) -> AsyncIterator[bytes]:
        """Read an object in chunks, from the archive if it must be."""
        chunks = self._store.stream(key)
        try:
            first = await anext(chunks, b"")
        except ObjectMissingError as error:
            await self._bring_back(key, error)
            chunks = self._store.stream(key)
            first = await anext(chunks, b"")
        if first:
            yield first
        async for chunk in chunks:
            yield chunk

    async def check(self) -> None:
        """Raise `FilesError` if the store cannot be used now."""
        await self._store.check()

    async def _bring_back(self, key: str, missing: ObjectMissingError) -> None:
        try:
            await self._store.bring_back(key)
        except ObjectMissingError:
            raise missing from None
        except FilesError as error:
            raise FilesError(
                f"{key} lies in the archive, which does not give it now ({error}); restore it "
                f"there by the store's own means (S3: restore-object), then try again"
            ) from error
        await logger.awarning("brought_back_from_archive", object=key)
