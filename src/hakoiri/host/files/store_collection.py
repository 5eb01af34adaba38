"""The collection of the store: one pass after the other, each in small steps.

What goes is decided in `collection`; what makes it safe beside running saves is the ledger
(`collection_ports`). A pass that is broken off leaves nothing to be repaired but what was leaving,
which the next one finishes first.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import structlog

from hakoiri.host.files.archive import StoreWithArchive
from hakoiri.host.files.collection import (
    ARCHIVE_PREFIX,
    CollectionRules,
    Listed,
    Verdict,
    blobs_of,
    is_expired,
    judge,
    live_bytes_of,
)
from hakoiri.host.files.collection_ports import (
    Amount,
    CollectableStore,
    CollectionLedger,
    CollectionReport,
    CollectionTold,
    PointLists,
)
from hakoiri.host.files.keys import blob_key, manifest_key, pack_key
from hakoiri.host.files.manifest import Manifest
from hakoiri.host.files.manifest_store import ManifestStore
from hakoiri.host.files.packs import Pack
from hakoiri.host.files.ports import (
    FilesError,
    LiveManifests,
    ManifestName,
    ObjectMissingError,
)

POINTS_PER_STEP: Final = 20
"""Manifests read in one step."""

LEAVING_PER_STEP: Final = 50
"""Objects moved in one step: a save that names one of them is refused meanwhile."""

CONDEMNED_PER_PASS: Final = 20_000
"""Of one tenant; what is beyond waits for the next pass. It bounds the ledger and the memory."""

BROUGHT_BACK_PER_PASS: Final = 1000
STEP_PAUSE_S: Final = 0.05
FIRST_AFTER_S: Final = 300.0
"""A server that is often started anew collects, too."""

log = structlog.get_logger(__name__)

Steps = AsyncGenerator[None, None]


@dataclass(slots=True)
class _Needed:
    """What a tenant's live recovery points name: keys, with the live plain bytes of each pack."""

    keys: set[str] = field(default_factory=set)
    packs: dict[str, tuple[Pack, int]] = field(default_factory=dict)

    def add(self, tenant: str, point: ManifestName, manifest: Manifest) -> None:
        """Take note of one; of a pack that several name, the most that one of them needs counts."""
        for version in (1, 2):
            where = (tenant, point.workspace_id, point.recovery_point)
            self.keys.add(manifest_key(*where, version=version))
        self.keys.update(blob_key(tenant, one) for one in blobs_of(manifest.entries))
        for pack, live in live_bytes_of(manifest.entries).items():
            key = pack_key(tenant, pack.id)
            self.keys.add(key)
            self.packs[key] = (pack, max(live, self.packs.get(key, (pack, 0))[1]))

    @property
    def wasted_bytes(self) -> int:
        """Dead bytes of live packs as stored, at most."""
        return sum(
            pack.size * max(pack.plain_size - live, 0) // pack.plain_size
            for pack, live in self.packs.values()
        )


class StoreCollection:
    """One a server. `clock` is aware; `interval_s` lies between two passes, None is never."""

    def __init__(
        self,
        *,
        store: CollectableStore,
        live: LiveManifests,
        lists: PointLists,
        ledger: CollectionLedger,
        rules: CollectionRules,
        interval_s: float | None,
        clock: Callable[[], datetime],
        tell: CollectionTold,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._live = live
        self._lists = lists
        self._ledger = ledger
        self._rules = rules
        self._interval_s = interval_s
        self._clock = clock
        self._tell = tell
        self._sleep = sleep
        self._manifests = ManifestStore(StoreWithArchive(store))
        self._alone = asyncio.Lock()
        self.last: CollectionReport | None = None

    async def run(self) -> None:
        """Collect until cancelled; if it is off, only finish what a crash left."""
        try:
            async with self._alone:
                await self._finish_leaving()
        except FilesError as error:
            self._give_up(error)
        if self._interval_s is None:
            return
        soon_s = min(FIRST_AFTER_S, self._interval_s)
        pause_s = soon_s
        while True:
            await self._sleep(pause_s)
            try:
                report = await self.collect()
                pause_s = soon_s if report.failures else self._interval_s
            except FilesError as error:
                self._give_up(error)
                pause_s = soon_s  # what is leaving must not be so for long

    async def collect(self, *, is_dry: bool = False) -> CollectionReport:
        """Do one pass; `FilesError`, and what was not done is done by a later one.

        A dry one changes nothing. Passes wait for each other.
        """
        async with self._alone:
            report = CollectionReport(started=self._clock(), is_dry=is_dry)
            async with aclosing(self.steps(report)) as steps:
                async for _ in steps:
                    await self._sleep(STEP_PAUSE_S)
            report.ended = self._clock()
            if not is_dry:
                self.last = report
                self._tell.collected(report)
        return report

    async def steps(self, report: CollectionReport) -> Steps:
        """Do one pass, a bounded piece of work at a time, and tell of it in `report`."""
        if not report.is_dry:
            await self._store.check_removal()
            await self._finish_leaving()
            before = report.started - self._rules.grace
            await self._ledger.forget_gone(before=before)
            report.abandoned = await self._store.drop_abandoned(before=before)
        yield
        for tenant in await self._store.tenants():
            report.tenants += 1
            try:
                async with aclosing(self._collect_tenant(tenant, report)) as steps:
                    async for _ in steps:
                        yield
            except FilesError as error:
                # who cannot tell what a tenant needs lets nothing of it go
                report.failures.append(f"tenant {tenant}: {error}")
                log.warning("collection_failed", tenant=tenant, reason=str(error))

    async def _collect_tenant(self, tenant: str, report: CollectionReport) -> Steps:
        if not report.is_dry:
            for workspace_id in await self._lists.overfull(tenant, now=report.started):
                dropped = await self._lists.drop_expired(workspace_id, now=report.started)
                report.expired_points += dropped
                yield
        # These were condemned in an earlier pass, so before what is live is read below.
        condemned = await self._ledger.condemned(tenant)
        needed = _Needed()
        async with aclosing(self._read_live(tenant, needed, report)) as steps:
            async for _ in steps:
                yield
        report.wasted_bytes += needed.wasted_bytes
        missing, unseen = set(needed.keys), set(condemned)
        judged: dict[Verdict, list[str]] = {verdict: [] for verdict in Verdict}
        async for page in self._store.pages(f"tenants/{tenant}"):
            missing.difference_update(found.key for found in page)
            unseen.difference_update(found.key for found in page)
            due = self._judge_page(page, needed, condemned, judged, report)
            if not report.is_dry:
                await self._let_go(due, report)
            yield
        if not report.is_dry:
            await self._ledger.absolve(tenant, [*judged[Verdict.ABSOLVE], *unseen])
            await self._ledger.condemn(tenant, judged[Verdict.CONDEMN], at=report.started)
        yield
        async with aclosing(self._see_to_archive(tenant, needed, missing, report)) as steps:
            async for _ in steps:
                yield

    async def _read_live(self, tenant: str, needed: _Needed, report: CollectionReport) -> Steps:
        for number, point in enumerate(await self._live.live_manifests(tenant), start=1):
            where = (tenant, point.workspace_id, point.recovery_point)
            needed.add(tenant, point, await self._manifests.read(*where))
            report.recovery_points += 1
            if number % POINTS_PER_STEP == 0:
                yield
        yield

    def _judge_page(
        self,
        page: Sequence[Listed],
        needed: _Needed,
        condemned: Mapping[str, datetime],
        judged: dict[Verdict, list[str]],
        report: CollectionReport,
    ) -> list[Listed]:
        """Sort a page; return who is due."""
        due: list[Listed] = []
        for found in page:
            verdict = judge(
                found,
                is_needed=found.key in needed.keys,
                condemned_at=condemned.get(found.key),
                now=report.started,
                rules=self._rules,
            )
            self._amount(report, verdict).add(found)
            if verdict is Verdict.DUE:
                due.append(found)
            elif verdict is Verdict.ABSOLVE or (
                verdict is Verdict.CONDEMN
                and len(condemned) + len(judged[verdict]) < CONDEMNED_PER_PASS
            ):
                judged[verdict].append(found.key)
        return due

    @staticmethod
    def _amount(report: CollectionReport, verdict: Verdict) -> Amount:
        if verdict in (Verdict.LIVE, Verdict.ABSOLVE):
            return report.live
        if verdict is Verdict.DUE:
            return report.left if report.is_dry else Amount()  # counted when they have left
        if verdict is Verdict.FOREIGN:
            return report.foreign
        return report.young if verdict is Verdict.YOUNG else report.waiting

    async def _let_go(self, due: Sequence[Listed], report: CollectionReport) -> None:
        for start in range(0, len(due), LEAVING_PER_STEP):
            some = due[start : start + LEAVING_PER_STEP]
            begun = await self._ledger.begin_leaving(
                [found.key for found in some], at=self._clock()
            )
            await self._move(begun)
            for found in some:
                (report.left if found.key in begun else report.live).add(found)

    async def _move(self, keys: frozenset[str]) -> None:
        for key in sorted(keys):
            await self._store.archive(key)
        await self._ledger.end_leaving(keys, at=self._clock())

    async def _finish_leaving(self) -> None:
        """Move what a pass that broke off had begun to move."""
        if keys := await self._ledger.leaving():
            await self._move(frozenset(keys))

    async def _see_to_archive(
        self, tenant: str, needed: _Needed, missing: set[str], report: CollectionReport
    ) -> Steps:
        """Delete what is over its age; bring back what is needed, which should not be there."""
        async for page in self._store.pages(f"{ARCHIVE_PREFIX}tenants/{tenant}"):
            for found in page:
                key = found.key.removeprefix(ARCHIVE_PREFIX)
                if is_expired(
                    found, is_needed=key in needed.keys, now=report.started, rules=self._rules
                ):
                    report.deleted.add(found)
                    if not report.is_dry:
                        await self._store.delete_archived(key)
                else:
                    report.archived.add(found)
                if key in missing and not report.is_dry:
                    await self._bring_back(key, report)
                    missing.discard(key)
            yield
        # of a manifest, one of its two spellings is always missing
        ids = {key for key in missing if "/manifests/" not in key}
        report.missing += len(ids)
        if ids:
            log.error("live_objects_missing", tenant=tenant, count=len(ids), one=min(ids))

    async def _bring_back(self, key: str, report: CollectionReport) -> None:
        if report.brought_back >= BROUGHT_BACK_PER_PASS:
            return
        try:
            await self._store.bring_back(key)
        except ObjectMissingError:
            return
        report.brought_back += 1
        log.error("brought_back_from_archive", object=key)

    def _give_up(self, error: FilesError) -> None:
        log.warning("collection_failed", reason=str(error))
        self._tell.failed(str(error))
