"""A file's bytes as they are sent, kept on this host's disk until they are whole."""

import hashlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Final

import anyio
from fastapi import Request

from hakoiri.host.api.problems import RefusedError
from hakoiri.host.files.worker_thread import run_in_thread
from hakoiri.wire.problems import Problem

UPLOADS_AT_ONCE: Final = 8
"""Of one server; each may take as much of the disk as a file may."""

OF_ONE_TENANT: Final = 3
"""Of these; who sends slowly holds a place for long, and must not hold all."""

SILENCE_TIMEOUT_S: Final = 30.0
"""A client that sends nothing for this long is not going to."""

WRITE_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class WholeUpload:
    """A file that was sent to its end."""

    descriptor: int
    size: int
    sha256: str


@dataclass(slots=True)
class _Places:
    """A tenant's places, while somebody has or wants one."""

    free: anyio.Semaphore
    users: int = 0


class Uploads:
    """Receives files into nameless files of `directory`, which vanish when they are closed."""

    def __init__(self, directory: Path, *, limit_bytes: int) -> None:
        """Take files of up to `limit_bytes`."""
        self._directory = directory
        self._limit_bytes = limit_bytes
        self._slots = anyio.Semaphore(UPLOADS_AT_ONCE)
        self._of_tenants: dict[str, _Places] = {}

    @asynccontextmanager
    async def received(self, request: Request, *, tenant: str) -> AsyncIterator[WholeUpload]:
        """Receive a tenant's file in its turn; raises `RefusedError` for a too long or slow one."""
        announced = request.headers.get("content-length", "")
        if announced.isascii() and announced.isdigit() and int(announced) > self._limit_bytes:
            raise self._too_large()
        async with self._place(tenant):
            with await run_in_thread(self._spool) as spool:
                yield await self._receive(request, spool)

    @asynccontextmanager
    async def _place(self, tenant: str) -> AsyncIterator[None]:
        own = self._of_tenants.setdefault(tenant, _Places(anyio.Semaphore(OF_ONE_TENANT)))
        own.users += 1
        try:
            async with own.free, self._slots:
                yield
        finally:
            own.users -= 1
            if own.users == 0:
                del self._of_tenants[tenant]

    def _spool(self) -> IO[bytes]:
        return tempfile.TemporaryFile(dir=self._directory)

    async def _receive(self, request: Request, spool: IO[bytes]) -> WholeUpload:
        digest, size, waiting = hashlib.sha256(), 0, bytearray()

        async def write() -> None:
            digest.update(waiting)
            await run_in_thread(partial(spool.write, bytes(waiting)))
            waiting.clear()

        stream = request.stream()
        while (chunk := await self._next(stream.__anext__)) is not None:
            size += len(chunk)
            if size > self._limit_bytes:
                raise self._too_large()
            waiting += chunk
            if len(waiting) >= WRITE_BYTES:
                await write()
        await write()
        await run_in_thread(spool.flush)
        return WholeUpload(spool.fileno(), size, digest.hexdigest())

    async def _next(self, take: Callable[[], Awaitable[bytes]]) -> bytes | None:
        try:
            with anyio.fail_after(SILENCE_TIMEOUT_S):
                return await take()
        except StopAsyncIteration:
            return None
        except TimeoutError:
            raise RefusedError(
                Problem.of(
                    "body-timeout",
                    title="The body did not arrive",
                    status=408,
                    detail=f"Nothing came for {SILENCE_TIMEOUT_S:g} s; send it again.",
                )
            ) from None

    def _too_large(self) -> RefusedError:
        return RefusedError(
            Problem.of(
                "body-too-large",
                title="The body is too large",
                status=413,
                detail=f"A file may have {self._limit_bytes} bytes; send less.",
            )
        )
