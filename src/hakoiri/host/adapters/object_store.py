"""The object store through obstore: `file://` now, other schemes when they come.

Only obstore's synchronous calls are used, in worker threads. Its asynchronous ones answer from
threads of its own runtime, which can still be at it when the interpreter shuts down; such a thread
is then ended in the middle of native code and the whole process aborts (seen with 0.12.1 in 6 of 60
short runs, and in none with the synchronous calls).
"""

import ctypes
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import cast
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore

from hakoiri.host.files.ports import (
    FilesError,
    ObjectMissingError,
    ObjectStore,
    ObjectTooLargeError,
)
from hakoiri.host.files.worker_thread import run_in_thread

_CHUNK_BYTES = 1024 * 1024
_PRIVATE_MODE = 0o700


def open_object_store(url: str) -> ObjectStore:
    """Open the store at `url`, `file:///absolute/path`; its directory is made if it is missing.

    Raises `FilesError` for another scheme, a relative path, or a directory that cannot be made.
    """
    parts = urlsplit(url)
    if parts.scheme != "file":
        raise FilesError(
            f"object_store_url: {parts.scheme or url!r} is not a scheme this version can store to; "
            "use file:///absolute/path"
        )
    path = Path(unquote(parts.path))
    if parts.netloc not in ("", "localhost") or not path.is_absolute() or ".." in path.parts:
        raise FilesError("object_store_url: must be file:/// and an absolute path without '..'")
    return FileObjectStore(path)


class FileObjectStore:
    """An `ObjectStore` in a directory of this host.

    Each object is written under a staging name and renamed, so no reader sees half of one. The
    single writes are not synchronised with the disk; `flush` does it for all at once.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        with _ours(f"object store {directory}"):
            directory.mkdir(mode=_PRIVATE_MODE, parents=True, exist_ok=True)
            self._store = LocalStore(directory)

    async def put(self, key: str, data: bytes) -> None:
        """Store `data`."""
        with _ours(key):
            await run_in_thread(partial(obstore.put, self._store, key, data, use_multipart=False))

    async def get(self, key: str, *, limit_bytes: int) -> bytes:
        """Return an object."""
        with _ours(key):
            return await run_in_thread(partial(_get, self._store, key, limit_bytes))

    async def stream(self, key: str) -> AsyncIterator[bytes]:
        """Yield an object in chunks of about 1 MiB."""
        with _ours(key):
            result = await run_in_thread(partial(obstore.get, self._store, key))
            chunks = iter(result.stream(min_chunk_size=_CHUNK_BYTES))
        while True:
            with _ours(key):
                chunk = await run_in_thread(partial(next, chunks, None))
            if chunk is None:
                return
            yield bytes(chunk)

    async def flush(self) -> None:
        """Write all that the file system still holds in memory to the disk, by syncfs(2).

        One call per recovery point: an fsync per small object would cost a disk's turn each.
        """
        with _ours(f"object store {self._directory}"):
            await run_in_thread(partial(_sync_file_system, self._directory))

    async def check(self) -> None:
        """Write and read back one small object."""
        key, content = "check/writable", b"writable\n"
        await self.put(key, content)
        if await self.get(key, limit_bytes=len(content)) != content:
            raise FilesError(f"object store {self._directory}: reads back other bytes than written")


def _get(store: LocalStore, key: str, limit_bytes: int) -> bytes:
    result = obstore.get(store, key)
    size = result.meta["size"]
    if size > limit_bytes:
        raise ObjectTooLargeError(f"{key} has {size} bytes, over the limit of {limit_bytes}")
    return bytes(result.bytes())


def _sync_file_system(directory: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if cast("int", libc.syncfs(descriptor)) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(descriptor)


@contextmanager
def _ours(what: str) -> Iterator[None]:
    """Turn the vendor's and the system's errors into ours; the vendor's add a debug dump."""
    try:
        yield
    except FileNotFoundError as error:
        raise ObjectMissingError(f"the store has no object {what}") from error
    except (BaseError, OSError, ValueError) as error:
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FilesError(f"{what}: {first_line}") from error
