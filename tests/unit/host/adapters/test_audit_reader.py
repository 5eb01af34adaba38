import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.unit.audit.chains import lines, write

from hakoiri.audit.query import AuditQuery
from hakoiri.audit.reader import ReaderServer
from hakoiri.host.adapters.audit_reader import ANSWER_LIMIT_BYTES, AuditReader
from hakoiri.host.conversations.audit_view import AuditCursorError, AuditUnavailableError

pytestmark = pytest.mark.anyio


async def test_a_real_reader_is_asked_page_by_page(tmp_path: Path) -> None:
    chain = tmp_path / "server"
    chain.mkdir()
    write(chain, lines(5))
    path = tmp_path / "r.sock"
    with ReaderServer(path, {"server": chain}) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            reader = AuditReader(path)
            first = await reader.find(AuditQuery(tenant="acme", limit=3))
            rest = await reader.find(AuditQuery(tenant="acme", before=first.next))
            with pytest.raises(AuditCursorError):
                await reader.find(AuditQuery(tenant="other", before=first.next))
        finally:
            await asyncio.to_thread(server.shutdown)
            thread.join()
    assert [len(page.events) for page in (first, rest)] == [3, 2]
    assert rest.next is None


@asynccontextmanager
async def answering(path: Path, answer: bytes) -> AsyncIterator[AuditReader]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(answer)
        writer.close()

    async with await asyncio.start_unix_server(serve, str(path)):
        yield AuditReader(path)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"what?\n",
        b"[]\n",
        b'{"events": 5, "next": null}\n',
        b'{"events": [], "next": null, "more": 1}\n',
        b'{"error": "busy"}\n',
        b'{"error": {"a": 1}}\n',
        b'"' + b"x" * ANSWER_LIMIT_BYTES + b'"\n',
    ],
)
async def test_whatever_a_reader_says_is_a_page_or_an_error(tmp_path: Path, answer: bytes) -> None:
    async with answering(tmp_path / "r.sock", answer) as reader:
        with pytest.raises(AuditUnavailableError):
            await reader.find(AuditQuery())


async def test_one_that_is_away_or_not_wanted_is_told(tmp_path: Path) -> None:
    with pytest.raises(AuditUnavailableError, match="does not answer"):
        await AuditReader(tmp_path / "gone.sock").find(AuditQuery())
    with pytest.raises(AuditUnavailableError, match="HAKOIRI_AUDIT__ENABLED"):
        await AuditReader(None).find(AuditQuery())
