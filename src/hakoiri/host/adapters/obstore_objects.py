"""What all object stores through obstore share: reading, and its errors as ours.

Only obstore's synchronous calls are used, in worker threads. Its asynchronous ones answer from
threads of its own runtime, which can still be at it when the interpreter shuts down; such a thread
is then ended in the middle of native code and the whole process aborts (seen with 0.12.1 in 6 of 60
short runs, and in none with the synchronous calls).
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

from hakoiri.host.files.collection import ARCHIVE_PREFIX, Listed, is_tenant
from hakoiri.host.files.ports import FilesError, ObjectMissingError, ObjectTooLargeError
from hakoiri.host.files.worker_thread import run_in_thread

REQUESTS_AT_ONCE = 16
"""Over all workspaces; a save or a restore has up to 8 of them in flight."""

READ_ATTEMPTS = 3
PAGE_OBJECTS = 200
_CHUNK_BYTES = 1024 * 1024
_PROBE = "check/removable"


class ObstoreObjects:
    """Objects in one of obstore's stores; `name` is how the store is called in errors."""

    def __init__(self, store: LocalStore | S3Store, *, name: str) -> None:
        self._store = store
        self._name = name
        # Of its own: requests wait for the network, and would keep hashing from its threads.
        self._threads = ThreadPoolExecutor(REQUESTS_AT_ONCE, thread_name_prefix="store")

    async def put(self, key: str, data: bytes) -> None:
        """Store `data`."""
        with ours(key):
            put = partial(obstore.put, self._store, key, data, use_multipart=False)
            await run_in_thread(put, threads=self._threads)

    async def get(self, key: str, *, limit_bytes: int) -> bytes:
        """Return an object."""
        with ours(key):
            get = partial(_get, self._store, key, limit_bytes)
            return await run_in_thread(get, threads=self._threads)

    async def stream(self, key: str) -> AsyncIterator[bytes]:
        """Yield an object in chunks of about 1 MiB."""
        with ours(key):
            get = partial(obstore.get, self._store, key)
            result = await run_in_thread(get, threads=self._threads)
            chunks = iter(result.stream(min_chunk_size=_CHUNK_BYTES))
        while True:
            with ours(key):
                chunk = await run_in_thread(partial(next, chunks, None), threads=self._threads)
            if chunk is None:
                return
            yield bytes(chunk)

    async def check(self) -> None:
        """Write and read back one small object."""
        key, content = "check/writable", b"writable\n"
        await self.put(key, content)
        if await self.get(key, limit_bytes=len(content)) != content:
            raise FilesError(f"{self._name}: reads back other bytes than written")

    async def tenants(self) -> Sequence[str]:
        """Return the tenants that there are folders of, here or in the archive."""
        found: set[str] = set()
        for folder in ("tenants", f"{ARCHIVE_PREFIX}tenants"):
            with ours(folder):
                listing = await run_in_thread(
                    partial(obstore.list_with_delimiter, self._store, folder)
                )
            names = {prefix.rstrip("/").rpartition("/")[2] for prefix in listing["common_prefixes"]}
            found |= {name for name in names if is_tenant(name)}
        return sorted(found)

    async def pages(self, prefix: str) -> AsyncIterator[Sequence[Listed]]:
        """List what is below a folder, `PAGE_OBJECTS` at a time, in no order."""
        with ours(prefix):
            pages = iter(obstore.list(self._store, prefix, chunk_size=PAGE_OBJECTS))
        while True:
            with ours(prefix):
                page = await run_in_thread(partial(next, pages, None))
            if page is None:
                return
            yield [Listed(one["path"], one["size"], one["last_modified"]) for one in page]

    async def archive(self, key: str) -> None:
        """Move an object below `archive/`; what is not there was moved before."""
        with suppress(ObjectMissingError):
            await self._move(key, ARCHIVE_PREFIX + key)

    async def bring_back(self, key: str) -> None:
        """Copy an object back from below `archive/`; `ObjectMissingError`."""
        with ours(key):
            await run_in_thread(partial(obstore.copy, self._store, ARCHIVE_PREFIX + key, key))

    async def delete_archived(self, key: str) -> None:
        """Delete an object from the archive, if it is there."""
        with suppress(ObjectMissingError), ours(ARCHIVE_PREFIX + key):
            await run_in_thread(partial(obstore.delete, self._store, ARCHIVE_PREFIX + key))

    async def drop_abandoned(self, *, before: datetime) -> int:
        """Nothing: the bucket's rules end uploads that were broken off."""
        del before
        return 0

    async def check_removal(self) -> None:
        """Write one small object, move it into the archive and delete it there."""
        await self.put(_PROBE, b"removable\n")
        await self._move(_PROBE, ARCHIVE_PREFIX + _PROBE)
        with ours(ARCHIVE_PREFIX + _PROBE):
            await run_in_thread(partial(obstore.delete, self._store, ARCHIVE_PREFIX + _PROBE))

    async def _move(self, key: str, target: str) -> None:
        """Move an object; it is new at its target. `ObjectMissingError`."""
        with ours(key):
            await run_in_thread(partial(obstore.copy, self._store, key, target))
            await run_in_thread(partial(obstore.delete, self._store, key))


def _get(store: LocalStore | S3Store, key: str, limit_bytes: int) -> bytes:
    """Read an object; an answer that breaks off is asked for again, which obstore does not do."""
    for attempt in range(1, READ_ATTEMPTS + 1):
        result = obstore.get(store, key)
        size = result.meta["size"]
        if size > limit_bytes:
            raise ObjectTooLargeError(f"{key} has {size} bytes, over the limit of {limit_bytes}")
        try:
            content = bytes(result.bytes())
        except BaseError:
            if attempt == READ_ATTEMPTS:
                raise
        else:
            if len(content) == size:
                return content
    raise FilesError(f"{key}: the answer was cut short, {READ_ATTEMPTS} times")


@contextmanager
def ours(what: str) -> Iterator[None]:
    """Turn the vendor's and the system's errors into ours; the vendor's add a debug dump."""
    try:
        yield
    except FileNotFoundError as error:
        raise ObjectMissingError(f"the store has no object {what}") from error
    except (BaseError, OSError, ValueError) as error:
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FilesError(f"{what}: {first_line}") from error
