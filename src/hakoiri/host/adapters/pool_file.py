"""`PoolStore` as one file in the data directory: replaced as a whole, or not at all."""

import asyncio
import os
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from hakoiri.host.containers.ports import PoolStoreError
from hakoiri.wire.pool import PoolConfiguration

NAME: Final = "warm_pool.json"
LIMIT_BYTES: Final = 64 * 1024


class PoolFile:
    """Keeps the setting below `directory`."""

    def __init__(self, directory: Path) -> None:
        """Name the directory; nothing is read yet."""
        self._path = directory / NAME

    async def load(self) -> PoolConfiguration | None:
        """Return what was kept, None if nothing was. Raises `PoolStoreError`."""
        return await asyncio.to_thread(self._load)

    async def save(self, configuration: PoolConfiguration) -> None:
        """Keep it; on disk when this returns. Raises `PoolStoreError`."""
        await asyncio.to_thread(self._save, configuration.model_dump_json())

    async def clear(self) -> None:
        """Keep nothing. Raises `PoolStoreError`."""
        await asyncio.to_thread(self._clear)

    def _load(self) -> PoolConfiguration | None:
        try:
            with self._path.open("rb") as file:
                content = file.read(LIMIT_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise PoolStoreError(f"{self._path} cannot be read: {error}") from error
        if len(content) > LIMIT_BYTES:
            raise PoolStoreError(f"{self._path} has more than {LIMIT_BYTES} bytes")
        try:
            return PoolConfiguration.model_validate_json(content)
        except ValidationError as error:
            raise PoolStoreError(f"{self._path} is no setting of the pool: {error}") from error

    def _save(self, content: str) -> None:
        temporary = self._path.with_suffix(".new")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path)
            self._sync_directory()
        except OSError as error:
            raise PoolStoreError(f"{self._path} cannot be written: {error}") from error

    def _clear(self) -> None:
        try:
            self._path.unlink(missing_ok=True)
            self._sync_directory()
        except OSError as error:
            raise PoolStoreError(f"{self._path} cannot be removed: {error}") from error

    def _sync_directory(self) -> None:
        descriptor = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
