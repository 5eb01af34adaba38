"""The object store that a URL names: a directory of this host, or an S3 bucket."""

import os
import re
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

import obstore
from obstore.store import LocalStore

from hakoiri.host.adapters.durable_names import DurableNames, sync_path
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

    Each object is written under a staging name and renamed, so no reader sees half of one, and it
    is on the disk when its writer is told so.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._durable = DurableNames(directory)
        name = f"object store {directory}"
        with ours(name):
            _make_directory(directory)
            super().__init__(LocalStore(directory), name=name)

    async def put(self, key: str, data: bytes) -> None:
        """Store `data`."""
        with ours(key):
            await run_in_thread(partial(self._put, key, data), threads=self._threads)

    async def bring_back(self, key: str) -> None:
        """Copy an object back from below `archive/`; `ObjectMissingError`."""
        await super().bring_back(key)
        with ours(key):
            await run_in_thread(partial(self._durable.keep, self._directory / key))

    async def drop_abandoned(self, *, before: datetime) -> int:
        """Delete what crashes left of writes: staging files, named `…#` and a number."""
        with ours(self._name):
            return await run_in_thread(
                partial(_drop_staging, self._directory, before.timestamp(), STAGING_LIMIT)
            )

    async def _move(self, key: str, target: str) -> None:
        """Rename the file, whose age counts from now on."""
        with ours(key):
            await run_in_thread(partial(self._rename, key, target))

    def _put(self, key: str, data: bytes) -> None:
        obstore.put(self._store, key, data, use_multipart=False)
        self._durable.keep(self._directory / key)

    def _rename(self, key: str, target: str) -> None:
        source, place = self._directory / key, self._directory / target
        # before the renaming: a crash between the two must not make it old in the archive
        os.utime(source)
        place.parent.mkdir(mode=_PRIVATE_MODE, parents=True, exist_ok=True)
        source.rename(place)
        self._durable.keep(place)


def _make_directory(directory: Path) -> None:
    """Make the store's directory with all on the way to it, to be found after a crash."""
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    directory.mkdir(mode=_PRIVATE_MODE, parents=True, exist_ok=True)
    for path in missing:
        sync_path(path.parent)


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
