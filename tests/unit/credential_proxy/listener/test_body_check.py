import asyncio
from collections.abc import AsyncIterator

import pytest

from hakoiri.credential_proxy.authority import Authority
from hakoiri.credential_proxy.decision import Forward, Upstream
from hakoiri.credential_proxy.decision_log import Outcome
from hakoiri.credential_proxy.held_body import HeldBody
from hakoiri.credential_proxy.listener.body_check import (
    LOOKED_THROUGH_BYTES,
    BodyCheck,
    BodyRefusedError,
)
from hakoiri.wire.policy import Reach

pytestmark = pytest.mark.anyio
PIECES = 4
TINY = b'{"a":[%b0]}' % (b"0," * (LOOKED_THROUGH_BYTES // 2 * PIECES))


class Noted(HeldBody):
    """Notes in `order` when it begins and ends to be read."""

    def __init__(self, content: bytes, order: list[str], name: str) -> None:
        super().__init__(limit_bytes=len(content))
        self.write(content)
        self._order = order
        self._name = name

    async def chunks(self) -> AsyncIterator[bytes]:
        self._order.append(f"{self._name} begins")
        async for chunk in super().chunks():
            yield chunk
        self._order.append(f"{self._name} ends")


def check(looking: asyncio.Lock, *reach: Reach, models: tuple[str, ...] = ()) -> BodyCheck:
    forward = Forward(
        "model",
        "POST",
        Upstream("https", Authority("a.test", 443)),
        (),
        "model:a",
        models=frozenset(models),
        reach=frozenset(reach),
    )
    return BodyCheck(forward=forward, charge=None, outcome=Outcome(), looking=looking)


async def test_a_containers_bodies_are_looked_through_one_after_the_other() -> None:
    order: list[str] = []
    looking = asyncio.Lock()
    bodies = [Noted(TINY, order, name) for name in "abc"]
    await asyncio.gather(*[check(looking).run(body) for body in bodies])
    assert order == [f"{name} {what}" for name in "abc" for what in ("begins", "ends")]


async def test_others_are_served_between_small_pieces() -> None:
    order: list[str] = []

    async def neighbour() -> None:
        for number in range(PIECES):
            order.append(str(number))
            await asyncio.sleep(0)

    body = Noted(TINY, order, "body")
    await asyncio.gather(check(asyncio.Lock()).run(body), neighbour())
    assert order == ["body begins", *map(str, range(PIECES)), "body ends"]


async def test_one_that_is_refused_gives_the_next_its_turn() -> None:
    looking = asyncio.Lock()
    unsound = Noted(b"[", [], "unsound")
    with pytest.raises(BodyRefusedError, match="JSON") as caught:
        await check(looking).run(unsound)
    assert (caught.value.status, caught.value.code) == (400, "bad-body")
    reaching = Noted(b'{"source":{"type":"url"}}', [], "reaching")
    with pytest.raises(BodyRefusedError, match=r"model\.reach") as caught:
        await check(looking).run(reaching)
    assert (caught.value.status, caught.value.code) == (400, "reach-not-allowed")
    await check(looking, "urls").run(reaching)


async def test_a_model_that_is_named_is_kept_for_the_log() -> None:
    one = check(asyncio.Lock(), models=("a",))
    await one.run(Noted(b'{"model":"a"}', [], "a"))
    assert one.outcome.model == "a"
    with pytest.raises(BodyRefusedError, match="'b' is not allowed"):
        await check(asyncio.Lock(), models=("a",)).run(Noted(b'{"model":"b"}', [], "b"))
