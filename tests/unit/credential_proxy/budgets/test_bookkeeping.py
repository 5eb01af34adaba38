import asyncio
from pathlib import Path
from typing import Any

import pytest

from hakoiri.credential_proxy.budgets import bookkeeping
from hakoiri.credential_proxy.budgets.bookkeeping import Bookkeeping
from hakoiri.credential_proxy.budgets.store import LedgerStore, StoreError

from .books import DAY_S, Clock, terms

pytestmark = pytest.mark.anyio
REQUEST: dict[str, Any] = {
    "tenant": "t",
    "workspace": "w",
    "own": None,
    "terms": terms,
    "is_tunnel": False,
    "bytes_up": 0,
}


def requests_of(books: Bookkeeping) -> list[int]:
    return [use.requests for use in books.report(terms()).holders]


async def test_what_was_used_is_there_for_the_next_proxy(tmp_path: Path) -> None:
    clock = Clock()
    books = Bookkeeping.open(tmp_path, now_s=clock)
    books.gate.open(**REQUEST).close()
    await books.close()
    again = Bookkeeping.open(tmp_path, now_s=clock)
    assert requests_of(again) == [1, 1, 1]
    await again.close()


async def test_it_is_written_while_the_proxy_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bookkeeping, "WRITE_INTERVAL_S", 0.001)
    written = asyncio.Event()
    loop = asyncio.get_running_loop()
    write = LedgerStore.write

    def tell(self: LedgerStore, *arguments: Any) -> None:
        write(self, *arguments)
        loop.call_soon_threadsafe(written.set)

    monkeypatch.setattr(LedgerStore, "write", tell)
    books = Bookkeeping.open(tmp_path, now_s=Clock())
    books.start()
    books.gate.open(**REQUEST)
    async with asyncio.timeout(60):
        await written.wait()
    await books.close()


async def test_a_write_that_fails_is_told_and_made_up_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    books = Bookkeeping.open(tmp_path, now_s=Clock())

    def fail(*_: object) -> None:
        raise StoreError("the ledger cannot be written: the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(LedgerStore, "write", fail)
        books.gate.open(**REQUEST).close()
        await books.write()
        await books.write()
    assert "the disk is full" in books.report(terms()).fault
    assert capsys.readouterr().err.count("the disk is full") == 1
    await books.write()
    assert not books.report(terms()).fault
    await books.close()
    again = Bookkeeping.open(tmp_path, now_s=Clock())
    assert requests_of(again) == [1, 1, 1]
    await again.close()


async def test_what_is_over_is_forgotten_though_nobody_asks_for_anything(tmp_path: Path) -> None:
    clock = Clock()
    books = Bookkeeping.open(tmp_path, now_s=clock)
    books.gate.open(**REQUEST).close()
    await books.write()
    assert len(requests_of(books)) == 3
    clock.now_s += DAY_S
    await books.write()
    assert requests_of(books) == []
    await books.close()


async def test_nothing_is_written_when_nothing_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    books = Bookkeeping.open(tmp_path, now_s=Clock())
    with monkeypatch.context() as patched:
        patched.delattr(LedgerStore, "write")
        await books.write()
    await books.close()
