"""A request body that is held whole, because its hash goes into the signature."""

import hashlib
import tempfile
from collections.abc import AsyncIterator
from io import BytesIO
from typing import IO, Final

from hakoiri.credential_proxy.errors import CredentialProxyError

MEMORY_LIMIT_BYTES: Final = 1024 * 1024
_READ_BYTES: Final = 64 * 1024


class BodyTooLargeError(CredentialProxyError):
    """The body is larger than the limit."""


class HeldBody:
    """Bytes in memory up to 1 MiB, then in an unnamed temporary file; hashed as they arrive.

    Writes go to the page cache a chunk at a time, so they are done in place. Close it after use.
    """

    def __init__(self, *, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._store: IO[bytes] = BytesIO()
        self._hash = hashlib.sha256()
        self.size_bytes = 0

    def write(self, chunk: bytes) -> None:
        """Add a chunk.

        Raises:
            BodyTooLargeError: the body would exceed the limit; nothing of the chunk is kept.
        """
        size_bytes = self.size_bytes + len(chunk)
        if size_bytes > self._limit_bytes:
            raise BodyTooLargeError(f"the body is larger than {self._limit_bytes} bytes")
        if self.size_bytes <= MEMORY_LIMIT_BYTES < size_bytes:
            self._move_to_file()
        self._store.write(chunk)
        self._hash.update(chunk)
        self.size_bytes = size_bytes

    def _move_to_file(self) -> None:
        file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed by close()
        self._store.seek(0)
        file.write(self._store.read())
        self._store.close()
        self._store = file

    @property
    def sha256(self) -> str:
        """The hash of what was written, in lower-case hex."""
        return self._hash.hexdigest()

    @property
    def is_in_memory(self) -> bool:
        """Whether `read` costs no disk."""
        return isinstance(self._store, BytesIO)

    def read(self) -> bytes:
        """Return the whole body."""
        self._store.seek(0)
        return self._store.read()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body piece by piece."""
        self._store.seek(0)
        while chunk := self._store.read(_READ_BYTES):
            yield chunk

    def close(self) -> None:
        """Forget the bytes."""
        self._store.close()
