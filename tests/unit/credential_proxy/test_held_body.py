import hashlib

import pytest

from hakoiri.credential_proxy.held_body import MEMORY_LIMIT_BYTES, BodyTooLargeError, HeldBody


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
@pytest.mark.parametrize("size", [0, 1, MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES + 1])
async def test_a_body_comes_out_as_it_went_in_with_its_hash(size: int) -> None:
    body = bytes(number % 251 for number in range(size))
    held = HeldBody(limit_bytes=2 * MEMORY_LIMIT_BYTES)
    for start in range(0, size, 100_000):
        held.write(body[start : start + 100_000])
    assert held.read() == body
    assert b"".join([chunk async for chunk in held.chunks()]) == body
    assert held.sha256 == hashlib.sha256(body).hexdigest()
    assert held.is_in_memory == (size <= MEMORY_LIMIT_BYTES)
    held.close()


def test_a_body_at_the_limit_passes_and_one_byte_more_is_refused() -> None:
    held = HeldBody(limit_bytes=3)
    held.write(b"abc")
    with pytest.raises(BodyTooLargeError):
        held.write(b"d")
    assert held.read() == b"abc"
    held.close()
