"""Keeping the ledger: what changed is written once a second, in a thread, off any request's way.

A proxy that is killed loses what the last second changed, and of open requests and tunnels the
bytes not counted yet. What was reserved then stays charged.
"""

import asyncio
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from hakoiri.credential_proxy.budgets.calendar import day_at
from hakoiri.credential_proxy.budgets.gate import Gate
from hakoiri.credential_proxy.budgets.ledger import Ledger
from hakoiri.credential_proxy.budgets.meter import Clock
from hakoiri.credential_proxy.budgets.report import report
from hakoiri.credential_proxy.budgets.settings import Terms
from hakoiri.credential_proxy.budgets.store import FILE_NAME, LedgerStore, StoreError
from hakoiri.wire.budget_report import BudgetReport

WRITE_INTERVAL_S: Final = 1.0


class Bookkeeping:
    """The ledger in memory and its file. `gate` is where requests come in."""

    def __init__(self, *, store: LedgerStore, now_s: Clock) -> None:
        """Go on from what the file holds.

        Raises:
            ConfigurationError: it cannot be read.
        """
        self._store = store
        self._now_s = now_s
        self._ledger = Ledger(store.read(day_at(now_s())))
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._stop = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None
        self.fault = ""
        self.gate = Gate(ledger=self._ledger, now_s=now_s)

    @classmethod
    def open(
        cls, state_dir: Path, *, file_name: str = FILE_NAME, now_s: Clock = time.time
    ) -> "Bookkeeping":
        """Open the ledger of a state directory.

        Raises:
            ConfigurationError: it cannot be used; the message tells the mend.
        """
        store = LedgerStore.open(state_dir / file_name)
        try:
            return cls(store=store, now_s=now_s)
        except BaseException:
            store.close()
            raise

    def start(self) -> None:
        """Write from now on, until `close`."""
        loop = asyncio.get_running_loop()
        self._writing = loop.create_task(self._keep_writing(), name="keep the ledger")

    async def write(self) -> None:
        """Write what changed. A failure is told once; what was not written stays to be.

        At the change of the day what is over is forgotten; in the file, with the next write.
        """
        self._ledger.sweep(self._now_s())
        changed = self._ledger.take_changed()
        if not changed:
            return
        entries = list(changed.values())
        today = day_at(self._now_s())
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._executor, self._store.write, entries, today)
        except StoreError as error:
            self._ledger.changed.update(changed)
            if not self.fault:
                print(f"hakoiri proxy: {error}", file=sys.stderr, flush=True)  # noqa: T201 - the process's own voice
            self.fault = str(error)
        else:
            self.fault = ""

    def report(self, terms: Terms) -> BudgetReport:
        """Tell what was used and what limits it."""
        return report(self._ledger, terms, now_s=self._now_s(), fault=self.fault)

    async def close(self) -> None:
        """Write the rest and let go of the file."""
        self._stop.set()
        if self._writing is not None:
            await asyncio.wait((self._writing,))
        await self.write()
        self._executor.shutdown()
        self._store.close()

    async def _keep_writing(self) -> None:
        while True:
            try:
                async with asyncio.timeout(WRITE_INTERVAL_S):
                    await self._stop.wait()
            except TimeoutError:
                await self.write()
            else:
                return
