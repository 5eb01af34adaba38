"""A folder of a workspace over HTTP, as one zip file. A download like all others, never shown."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import quote

from fastapi.responses import StreamingResponse

from hakoiri.host.api.problems import RefusedError
from hakoiri.wire.problems import Problem

AT_ONCE: Final = 4
"""Of one tenant: each holds some packs in memory, and a slow reader holds them for long."""

LEFT_OUT_HEADER: Final = "Hakoiri-Left-Out"
"""How many symlinks are not in the zip."""

ArchiveKind = Literal["zip"]


@dataclass(frozen=True, slots=True)
class ZippedFolder:
    """A zip that is made while it is read; `left_out` counts symlinks that are not in it."""

    chunks: AsyncIterator[bytes]
    left_out: int


class FolderDownloads:
    """Counts the zips that are being sent."""

    def __init__(self) -> None:
        self._open: dict[str, int] = {}

    @contextmanager
    def one_more(self, tenant: str) -> Iterator[None]:
        """Take one of the tenant's places; `RefusedError` if none is left."""
        if self._open.get(tenant, 0) >= AT_ONCE:
            raise RefusedError(
                Problem.of(
                    "too-many-downloads",
                    title="Too many folders are being downloaded",
                    status=429,
                    detail=f"{AT_ONCE} at once; wait until one has ended.",
                )
            )
        self._open[tenant] = self._open.get(tenant, 0) + 1
        try:
            yield
        finally:
            self._open[tenant] -= 1
            if not self._open[tenant]:
                del self._open[tenant]

    async def response(
        self, tenant: str, folder: ZippedFolder, *, name: str, headers: dict[str, str]
    ) -> StreamingResponse:
        """Answer with the zip; what fails before its first bytes raises."""
        body = self._body(tenant, folder.chunks)
        await anext(body)  # takes the place, and what fails at once is still told as a problem
        return StreamingResponse(
            body,
            media_type="application/octet-stream",
            headers={
                **headers,
                "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}.zip",
                LEFT_OUT_HEADER: str(folder.left_out),
            },
        )

    async def _body(self, tenant: str, chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        with self.one_more(tenant):
            first = await anext(chunks, b"")
            yield b""
            yield first
            async for chunk in chunks:
                yield chunk
