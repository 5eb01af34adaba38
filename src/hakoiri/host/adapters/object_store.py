"""The object store that a URL names: a directory of this host, or an S3 bucket."""

import ctypes
import os
import re
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final, cast
from urllib.parse import SplitResult, unquote, urlsplit

from obstore.store import LocalStore

from hakoiri.host.adapters.obstore_objects import ObstoreObjects, ours
from hakoiri.host.adapters.s3_store import S3ObjectStore
from hakoiri.host.files.collection_ports import CollectableStore
from hakoiri.host.files.ports import FilesError
from hakoiri.host.files.worker_thread import run_in_thread
from hakoiri.host.settings import ObjectStoreSettings

STAGING_LIMIT: Final = 10_000
"""Dropped in one go, at most."""

_PRIVATE_MODE = 0o700
_STAGING = re.compile(r"[0-9a-z.-]+#[0-9]+")


def open_object_store(url: str, settings: ObjectStoreSettings | None = None) -> CollectableStore:
    """Open the store at `url`: `file:///absolute/path`, made if missing, or `s3://bucket/prefix`.

    Raises `FilesError` for another scheme, a malformed address, a directory that cannot be made,
    or settings and credentials that do not fit.
    """
    parts = urlsplit(url)
    if parts.scheme == "s3":
        return S3ObjectStore.open(parts, settings or ObjectStoreSettings())
    if parts.scheme != "file":
        raise FilesError(
            f"object_store_url: {parts.scheme or url!r} is not a scheme this version can store to; "
            "use file:///absolute/path or s3://bucket/prefix"
        )
    return FileObjectStore(_directory_of(parts))


def _directory_of(parts: SplitResult) -> Path:
    path = Path(unquote(parts.path))
    if parts.netloc not in ("", "localhost") or not path.is_absolute() or ".." in path.parts:
        raise FilesError("object_store_url: must be file:/// and an absolute path without '..'")
    return path


class FileObjectStore(ObstoreObjects):
    """An `ObjectStore` in a directory of this host.

    Each object is written under a staging name and renamed, so no reader sees half of one. The
    single writes are not synchronised with the disk; `flush` does it for all at once.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        name = f"object store {directory}"
        with ours(name):
            directory.mkdir(mode=_PRIVATE_MODE, parents=True, exist_ok=True)
            super().__init__(LocalStore(directory), name=name)

    async def flush(self) -> None:
        """Write all that the file system still holds in memory to the disk, by syncfs(2).

        One call per recovery point: an fsync per small object would cost a disk's turn each.
        """
        with ours(self._name):
            await run_in_thread(partial(_sync_file_system, self._directory))

    async def drop_abandoned(self, *, before: datetime) -> int:
        """Delete what crashes left of writes: staging files, named `…#` and a number."""
        with ours(self._name):
            return await run_in_thread(
                partial(_drop_staging, self._directory, before.timestamp(), STAGING_LIMIT)
            )

    async def _move(self, key: str, target: str) -> None:
        """Rename the file, whose age counts from now on."""
        with ours(key):
            await run_in_thread(partial(_rename, self._directory, key, target))


def _rename(directory: Path, key: str, target: str) -> None:
    source, place = directory / key, directory / target
    # before the renaming: a crash between the two must not make it old in the archive
    os.utime(source)
    place.parent.mkdir(mode=_PRIVATE_MODE, parents=True, exist_ok=True)
    source.rename(place)


def _drop_staging(directory: Path, before_s: float, limit: int) -> int:
    dropped = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            if _STAGING.fullmatch(name) is None:
                continue
            path = Path(folder) / name
            with suppress(FileNotFoundError):  # its writer has just renamed it
                if path.lstat().st_mtime < before_s:
                    path.unlink()
                    dropped += 1
            if dropped == limit:
                return dropped
    return dropped


def _sync_file_system(directory: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if cast("int", libc.syncfs(descriptor)) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(descriptor)
