import pytest

from hakoiri.host.containers.model import mark, new_container_id
from hakoiri.host.containers.ports import ClaimConflictError
from hakoiri.host.containers.shared_claims import SharedClaims
from hakoiri.host.containers.testing import MemoryClaims

pytestmark = pytest.mark.anyio


async def test_a_server_sees_its_own_claims_and_knows_what_is_elsewhere() -> None:
    claims = MemoryClaims()
    a, b = SharedClaims(claims, instance="a"), SharedClaims(claims, instance="b")
    of_a, of_b = new_container_id("a"), new_container_id("b")
    await a.claim(container_id=of_a, workspace_id="w-1")
    await b.claim(container_id=of_b, workspace_id="w-2")
    assert [record.container_id for record in await a.claimed()] == [of_a]
    assert [record.container_id for record in await b.claimed()] == [of_b]
    assert await a.is_elsewhere("w-2")
    assert not await a.is_elsewhere("w-1")
    assert not await a.is_elsewhere("w-3")


async def test_the_others_claims_are_known_by_server() -> None:
    claims = MemoryClaims()
    a, b, c = (SharedClaims(claims, instance=name) for name in "abc")
    of_b = [new_container_id("b") for _ in range(2)]
    of_c = new_container_id("c")
    await a.claim(container_id=new_container_id("a"), workspace_id="w-1")
    for number, container_id in enumerate((*of_b, of_c), start=2):
        await b.claim(container_id=container_id, workspace_id=f"w-{number}")
    found = await a.others()
    assert {
        name: [record.container_id for record in records] for name, records in found.items()
    } == {mark("b"): of_b, mark("c"): [of_c]}
    assert mark("c") not in await c.others()


async def test_what_one_has_the_other_cannot_claim() -> None:
    claims = MemoryClaims()
    a, b = SharedClaims(claims, instance="a"), SharedClaims(claims, instance="b")
    await a.claim(container_id=new_container_id("a"), workspace_id="w-1")
    with pytest.raises(ClaimConflictError):
        await b.claim(container_id=new_container_id("b"), workspace_id="w-1")


async def test_a_container_that_has_its_files_is_known_as_filled() -> None:
    claims = SharedClaims(MemoryClaims(), instance="a")
    container_id = new_container_id("a")
    await claims.claim(container_id=container_id, workspace_id="w-1")
    assert [record.is_filled for record in await claims.claimed()] == [False]
    await claims.fill(container_id)
    assert [record.is_filled for record in await claims.claimed()] == [True]
