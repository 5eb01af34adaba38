"""The least that a sync can be: obstore in threads, an object for each file, size and time."""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import obstore
from obstore.store import S3Store

AT_ONCE = 32
Item = TypeVar("Item")


class BareObstore:
    """Copies a directory into a bucket and back."""

    name = "obstore loop"

    def __init__(
        self, endpoint: str, bucket: str, source: Path, access_key_id: str, secret_access_key: str
    ) -> None:
        self.bucket = bucket
        self._source = source
        self._store = S3Store(
            bucket,
            config={
                "endpoint": endpoint,
                "region": "us-east-1",
                "access_key_id": access_key_id,
                "secret_access_key": secret_access_key,
            },
            client_options={"allow_http": True},
        )

    async def up(self) -> None:
        """Upload what is missing, of another size or newer."""
        await asyncio.to_thread(self._up)

    async def down(self, target: Path) -> None:
        """Download everything."""
        await asyncio.to_thread(self._down, target)

    def _up(self) -> None:
        there = self._listing()
        wanted = []
        for path in self._source.rglob("*"):
            if not path.is_file():
                continue
            key, status = str(path.relative_to(self._source)), path.stat()
            size, modified = there.get(key, (-1, None))
            if modified is None or size != status.st_size or modified.timestamp() < status.st_mtime:
                wanted.append((key, path))
        _each(wanted, lambda item: obstore.put(self._store, item[0], item[1]))

    def _down(self, target: Path) -> None:
        def fetch(key: str) -> None:
            path = target / key
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                for chunk in obstore.get(self._store, key).stream():
                    file.write(chunk)

        _each(self._listing(), fetch)

    def _listing(self) -> dict[str, tuple[int, datetime]]:
        return {
            item["path"]: (item["size"], item["last_modified"])
            for page in obstore.list(self._store)
            for item in page
        }


def _each(items: Iterable[Item], work: Callable[[Item], object]) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for done in [pool.submit(work, item) for item in items]:
            done.result()
