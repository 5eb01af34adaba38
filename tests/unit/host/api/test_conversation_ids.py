import pytest
from tests.unit.host.api.served import Served, problem

from hakoiri.host.api.conversation_ids import FORM

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("name", ["A", "a b", "a\n", "-a", "a" * 64, "a/b", "", "é", "a\0"])
def test_what_is_no_identifier_is_no_id(name: str) -> None:
    assert FORM.fullmatch(name) is None


async def test_what_cannot_be_an_id_never_reaches_the_store() -> None:
    served = Served()
    async with served.client() as client:
        served.world.store.broken = True
        assert problem(await client.get("/v1/conversations/A%00b")) == "no-such-conversation"
        assert problem(await client.get("/v1/conversations/c-1")) == "store-unavailable"
