import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.credential_proxy.http1.body_reader import (
    HIGH_WATER_BYTES,
    JOINED_BYTES,
    LOW_WATER_BYTES,
    BodyReader,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def reader() -> tuple[BodyReader, list[str]]:
    calls: list[str] = []
    body = BodyReader(
        hold=lambda: calls.append("hold"),
        release=lambda: calls.append("release"),
        before_wait=lambda: calls.append("wait"),
    )
    return body, calls


@given(chunks=st.lists(st.binary(min_size=1)))
def test_what_goes_in_comes_out_in_order(chunks: list[bytes]) -> None:
    async def read_all() -> bytes:
        body, _ = reader()
        for chunk in chunks:
            body.feed(chunk)
        body.finish()
        read = b""
        while chunk := await body.read():
            read += chunk
        return read

    assert asyncio.run(read_all()) == b"".join(chunks)


async def test_a_reader_waits_for_bytes_and_is_told_of_the_end() -> None:
    body, calls = reader()

    async def feed_late() -> bool:
        was_waiting = body.is_waiting
        body.feed(b"late")
        return was_waiting

    read, was_waiting = await asyncio.gather(body.read(), feed_late())
    assert (read, was_waiting) == (b"late", True)
    assert calls == ["wait"]
    assert not body.is_waiting
    body.finish()
    assert await body.read() == b""
    assert await body.read() == b""


async def test_a_sender_that_is_too_fast_is_held_until_most_of_the_bytes_are_read() -> None:
    body, calls = reader()
    half = HIGH_WATER_BYTES // 2
    for _ in range(2):
        body.feed(b"x" * half)
    assert calls == []
    body.feed(b"x")
    body.feed(b"x" * half)
    assert calls == ["hold"]
    assert len(await body.read()) == half
    assert calls == ["hold"]
    assert len(await body.read()) == half
    assert calls == ["hold"]
    assert len(await body.read()) == 1
    assert HIGH_WATER_BYTES - half == LOW_WATER_BYTES
    assert calls == ["hold", "release"]


async def test_large_pieces_are_given_as_they_came_and_small_ones_together() -> None:
    body, _ = reader()
    large = b"l" * (JOINED_BYTES + 1)
    for piece in (b"a", b"b", large, b"c", b"d", large):
        body.feed(piece)
    assert await body.read() == b"ab"
    assert await body.read() is large
    assert await body.read() == b"cd"
    assert await body.read() is large


async def test_a_body_worth_reading_in_pieces_is_not_taken_at_once() -> None:
    body, _ = reader()
    for piece in (b"x" * JOINED_BYTES, b"y"):
        body.feed(piece)
    body.finish()
    assert body.take_all() is None
    assert [len(await body.read()) for _ in range(3)] == [JOINED_BYTES, 1, 0]


async def test_a_failure_comes_after_what_was_there_before_it() -> None:
    body, _ = reader()
    body.feed(b"first")
    body.fail(ValueError("broken"))
    assert body.take_all() is None
    assert await body.read() == b"first"
    with pytest.raises(ValueError, match="broken"):
        await body.read()


async def test_a_failure_reaches_a_reader_that_waits_and_the_first_one_counts() -> None:
    body, _ = reader()

    async def break_off() -> None:
        body.fail(ConnectionError("first"))
        body.fail(ValueError("second"))

    read, _ = await asyncio.gather(body.read(), break_off(), return_exceptions=True)
    assert isinstance(read, ConnectionError)


async def test_a_whole_body_is_taken_at_once_and_a_failure_after_the_end_is_none() -> None:
    body, _ = reader()
    body.feed(b"a")
    assert body.take_all() is None
    body.feed(b"b")
    body.finish()
    body.fail(ValueError("late"))
    assert body.take_all() == b"ab"


async def test_a_reader_that_is_cancelled_leaves_the_bytes() -> None:
    body, _ = reader()
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(body.read())
        await asyncio.sleep(0)
        reading.cancel()
    body.feed(b"kept")
    assert await body.read() == b"kept"
