"""`PoolStore` as one file in the data directory: replaced as a whole, or not at all."""

import asyncio
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from hakoiri.host.adapters.kept_file import KeptFile
from hakoiri.host.containers.ports import PoolStoreError
from hakoiri.wire.pool import PoolConfiguration

NAME: Final = "warm_pool.json"


class PoolFile:
    """Keeps the setting below `directory`."""

    def __init__(self, directory: Path) -> None:
        """Name the directory; nothing is read yet."""
        self._file = KeptFile(directory / NAME)

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
        path = self._file.path
        try:
            content = self._file.read()
            return None if content is None else PoolConfiguration.model_validate_json(content)
        except OSError as error:
            raise PoolStoreError(f"{path} cannot be read: {error}") from error
        except ValidationError as error:
            raise PoolStoreError(f"{path} is no setting of the pool: {error}") from error
        except ValueError as error:
            raise PoolStoreError(str(error)) from error

    def _save(self, content: str) -> None:
        try:
            self._file.write(content)
        except OSError as error:
            raise PoolStoreError(f"{self._file.path} cannot be written: {error}") from error

    def _clear(self) -> None:
        try:
            self._file.remove()
        except OSError as error:
            raise PoolStoreError(f"{self._file.path} cannot be removed: {error}") from error
