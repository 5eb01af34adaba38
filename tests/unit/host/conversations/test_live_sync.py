"""Saves beside a turn: when, how many at once, and what a failure does."""

from collections.abc import Callable

import anyio
import anyio.lowlevel
import pytest

from hakoiri.host.conversations.live_sync import LiveSync
from hakoiri.host.conversations.ports import StoreError
from hakoiri.host.conversations.sync_schedule import SyncSchedule
from hakoiri.host.files.ports import FilesError
from hakoiri.wire.events import EventData, FileSynced, Notice, TextDelta, ToolResult, ToolUse

pytestmark = pytest.mark.anyio

SYNCED = FileSynced(recovery_point="rp-1", uploaded=1, uploaded_bytes=1, deleted=0, kept=0)
CALL = ToolUse(tool_use_id="t", name="Bash", input={})
RESULT = ToolResult(tool_use_id="t", text="")


class Bench:
    """A `LiveSync` whose saves are due at once, and what it did."""

    def __init__(self, *, wait_s: float = 0) -> None:
        self.saved: list[int] = []
        self.told: list[EventData] = []
        self.failures: list[Exception] = []
        self.hold: anyio.Event | None = None
        self.saving = anyio.Event()
        self.news = anyio.Event()
        self.tell_failure: Exception | None = None
        self.sync = LiveSync(
            schedule=SyncSchedule(quiet_s=wait_s, longest_wait_s=wait_s),
            save=self._save,
            tell=self._tell,
        )

    async def _save(self, event_number: int) -> FileSynced:
        self.saved.append(event_number)
        self.saving.set()
        if self.hold is not None:
            await self.hold.wait()
        if self.failures:
            raise self.failures.pop(0)
        return SYNCED

    async def _tell(self, event: EventData) -> None:
        if self.tell_failure is not None:
            raise self.tell_failure
        self.told.append(event)
        self.news.set()

    async def until(self, is_so: Callable[[], bool]) -> None:
        with anyio.fail_after(60):
            while not is_so():
                await anyio.lowlevel.checkpoint()


async def test_a_result_is_saved_in_the_middle_of_the_work_under_its_own_number() -> None:
    bench = Bench()

    async def work() -> str:
        bench.sync.saw([CALL, RESULT, TextDelta(text="on and on")], last_event=9)
        await bench.until(lambda: bench.told == [SYNCED])
        return "done"

    assert await bench.sync.beside(work) == "done"
    assert bench.saved == [8]


async def test_text_alone_is_not_saved() -> None:
    bench = Bench()

    async def work() -> None:
        bench.sync.saw([TextDelta(text="a")], last_event=3)
        for _ in range(20):
            await anyio.lowlevel.checkpoint()

    await bench.sync.beside(work)
    assert bench.saved == []


async def test_what_the_work_raises_comes_out_as_it_is() -> None:
    async def work() -> None:
        raise StoreError("the database does not answer")

    with pytest.raises(StoreError, match="does not answer"):
        await Bench().sync.beside(work)


async def test_a_save_that_runs_at_the_end_is_waited_for_and_none_begins_after() -> None:
    bench = Bench()
    bench.hold = anyio.Event()

    async def work() -> None:
        bench.sync.saw([CALL, RESULT], last_event=2)
        await bench.saving.wait()
        bench.sync.saw([CALL, RESULT], last_event=4)

    async with anyio.create_task_group() as group:
        group.start_soon(bench.sync.beside, work)
        await bench.saving.wait()
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        assert bench.told == []
        bench.hold.set()
    assert (bench.saved, bench.told) == ([2], [SYNCED])


async def test_the_end_of_the_work_does_not_wait_for_a_save_that_is_not_due_yet() -> None:
    bench = Bench(wait_s=3600)

    async def work() -> None:
        bench.sync.saw([CALL, RESULT], last_event=2)
        await anyio.lowlevel.checkpoint()

    with anyio.fail_after(60):
        await bench.sync.beside(work)
    assert bench.saved == []


async def test_cancellation_ends_the_save_with_the_work() -> None:
    bench = Bench()
    bench.hold = anyio.Event()

    async def work() -> None:
        bench.sync.saw([CALL, RESULT], last_event=2)
        await anyio.sleep_forever()

    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(bench.sync.beside, work)
            await bench.saving.wait()
            scope.cancel()
    assert scope.cancelled_caught
    assert bench.told == []


async def test_failures_are_told_once_and_tried_again_until_one_succeeds() -> None:
    bench = Bench()
    bench.failures = [FilesError("the store is away"), FilesError("still"), ValueError("a bug")]

    async def work() -> None:
        bench.sync.saw([CALL, RESULT], last_event=2)
        await bench.until(lambda: len(bench.told) == 2)

    await bench.sync.beside(work)
    notice, synced = bench.told
    assert isinstance(notice, Notice)
    assert notice.code == "files-not-saved"
    assert "the store is away" in notice.text
    assert "tried again" in notice.text
    assert synced == SYNCED
    assert bench.saved == [2, 2, 2, 2]


async def test_a_failure_that_is_ours_is_not_shown_to_the_user() -> None:
    bench = Bench()
    bench.failures = [ValueError("secret detail")]

    async def work() -> None:
        bench.sync.saw([CALL, RESULT], last_event=2)
        await bench.until(lambda: len(bench.told) == 2)

    await bench.sync.beside(work)
    assert isinstance(bench.told[0], Notice)
    assert "secret detail" not in bench.told[0].text


async def test_a_log_that_cannot_be_written_ends_nothing() -> None:
    bench = Bench()
    bench.tell_failure = StoreError("the database does not answer")

    async def work() -> str:
        bench.sync.saw([CALL, RESULT], last_event=2)
        await bench.until(lambda: bool(bench.saved))
        bench.tell_failure = None
        bench.sync.saw([CALL, RESULT], last_event=4)
        await bench.until(lambda: bench.told == [SYNCED])
        return "done"

    assert await bench.sync.beside(work) == "done"
