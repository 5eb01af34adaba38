import hashlib
import os
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import anyio
import pytest
from fastapi import Request
from tests.waiting import WAIT_S

from hakoiri.host.api import uploads
from hakoiri.host.api.problems import RefusedError
from hakoiri.host.api.uploads import UPLOADS_AT_ONCE, Uploads

pytestmark = pytest.mark.anyio


def sending(*pieces: bytes, stalls: bool = False) -> Request:
    """A request whose body comes in pieces, and may never end."""
    waiting = list(pieces)

    async def receive() -> MutableMapping[str, Any]:
        if not waiting and stalls:
            await anyio.sleep_forever()
        body = waiting.pop(0) if waiting else b""
        return {"type": "http.request", "body": body, "more_body": bool(waiting) or stalls}

    return Request({"type": "http", "headers": [], "method": "PUT"}, receive)


async def test_what_was_sent_is_whole_on_disk_under_no_name(tmp_path: Path) -> None:
    pieces = [os.urandom(700_000) for _ in range(5)]
    async with Uploads(tmp_path, limit_bytes=10**7).received(
        sending(*pieces), tenant="t"
    ) as upload:
        content = os.pread(upload.descriptor, upload.size + 1, 0)
        assert content == b"".join(pieces)
        assert upload.sha256 == hashlib.sha256(content).hexdigest()
        assert os.listdir(tmp_path) == []  # noqa: PTH208


async def test_one_byte_too_many_is_refused(tmp_path: Path) -> None:
    receiver = Uploads(tmp_path, limit_bytes=10)
    async with receiver.received(sending(b"x" * 10), tenant="t") as upload:
        assert upload.size == 10
    with pytest.raises(RefusedError, match="10 bytes"):
        async with receiver.received(sending(b"x" * 10, b"x"), tenant="t"):
            pass


async def test_who_stops_sending_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "SILENCE_TIMEOUT_S", 0.01)
    with pytest.raises(RefusedError) as refused:
        async with Uploads(tmp_path, limit_bytes=10).received(
            sending(b"x", stalls=True), tenant="t"
        ):
            pass
    assert refused.value.problem.status == 408


async def test_only_so_many_take_room_at_once(tmp_path: Path) -> None:
    receiver = Uploads(tmp_path, limit_bytes=10)
    begun: list[int] = []
    done = anyio.Event()

    async def one(number: int) -> None:
        async with receiver.received(sending(b"x"), tenant=f"t{number}"):
            begun.append(number)
            await done.wait()

    async with anyio.create_task_group() as group:
        for number in range(UPLOADS_AT_ONCE + 3):
            group.start_soon(one, number)
        with anyio.fail_after(WAIT_S):
            while len(begun) < UPLOADS_AT_ONCE:  # noqa: ASYNC110 - threads write the files
                await anyio.sleep(0.001)
        await anyio.wait_all_tasks_blocked()
        assert len(begun) == UPLOADS_AT_ONCE
        done.set()
    assert len(begun) == UPLOADS_AT_ONCE + 3


async def test_who_sends_slowly_holds_no_other_tenants_places(tmp_path: Path) -> None:
    receiver = Uploads(tmp_path, limit_bytes=10)
    async with anyio.create_task_group() as group:

        async def stall() -> None:
            async with receiver.received(sending(b"x", stalls=True), tenant="slow"):
                pass

        for _ in range(2 * UPLOADS_AT_ONCE):
            group.start_soon(stall)
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(WAIT_S):
            async with receiver.received(sending(b"x"), tenant="other") as upload:
                assert upload.size == 1
        group.cancel_scope.cancel()
    assert not receiver._of_tenants, "what is kept grows with the names of tenants"
