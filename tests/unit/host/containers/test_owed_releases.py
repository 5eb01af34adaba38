import asyncio

import pytest

from hakoiri.host.containers.owed_releases import OwedReleases
from hakoiri.host.containers.ports import ContainersError
from hakoiri.host.containers.testing import MemoryClaims

pytestmark = pytest.mark.anyio


async def test_a_claim_that_cannot_be_given_back_does_not_keep_the_workspace() -> None:
    claims = MemoryClaims()
    owed = OwedReleases(claims)
    await owed.claim(container_id="c1", workspace_id="w1")
    claims.away = True
    await owed.release("c1")
    assert [*claims.by_container] == ["c1"]
    assert await owed.claimed() == []
    with pytest.raises(ContainersError):
        await owed.claim(container_id="c2", workspace_id="w1")
    await owed.settle()
    claims.away = False
    assert await owed.claim(container_id="c2", workspace_id="w1") == 2
    assert claims.by_container == {"c2": "w1"}


async def test_one_whose_giving_back_is_given_up_is_owed() -> None:
    claims = MemoryClaims()
    owed = OwedReleases(claims)
    await owed.claim(container_id="c1", workspace_id="w1")
    releases = claims.release

    async def hangs(container_id: str) -> None:
        limit.reschedule(0)
        await asyncio.Future()

    claims.release = hangs  # type: ignore[method-assign]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(None) as limit:
            await owed.release("c1")
    claims.release = releases  # type: ignore[method-assign]
    await owed.settle()
    assert claims.by_container == {}


async def test_what_is_filled_is_told_to_the_store() -> None:
    claims = MemoryClaims()
    owed = OwedReleases(claims)
    await owed.claim(container_id="c1", workspace_id="w1")
    await owed.fill("c1")
    assert [record.is_filled for record in await owed.claimed()] == [True]
