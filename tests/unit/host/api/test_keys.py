import pytest
from tests.unit.host.api.served import Served, problem

pytestmark = pytest.mark.anyio


async def test_a_key_is_shown_once_opens_and_can_be_revoked() -> None:
    served = Served(require_keys=True)
    async with served.client() as client:
        _, first = await served.keys.create_key(name="first", tenant="red")
        mine = {"Authorization": f"Bearer {first}"}
        made = await client.post("/v1/keys", json={"name": "second"}, headers=mine)
        assert made.status_code == 201
        second = made.json()
        listed = (await client.get("/v1/keys", headers=mine)).json()["keys"]
        assert {key["name"] for key in listed} == {"first", "second"}
        assert all("key" not in key for key in listed)
        theirs = {"Authorization": f"Bearer {second['key']}"}
        assert (await client.get("/v1/keys", headers=theirs)).status_code == 200
        assert (await client.delete(f"/v1/keys/{second['id']}", headers=mine)).status_code == 204
        assert (await client.get("/v1/keys", headers=theirs)).status_code == 401


async def test_another_tenants_key_is_like_a_missing_one() -> None:
    served = Served(require_keys=True)
    async with served.client() as client:
        _, first = await served.keys.create_key(name="first", tenant="red")
        foreign, _ = await served.keys.create_key(name="other", tenant="blue")
        mine = {"Authorization": f"Bearer {first}"}
        answers = [
            await client.delete(f"/v1/keys/{name}", headers=mine) for name in (foreign.id, "0" * 16)
        ]
        assert [problem(answer) for answer in answers] == ["no-such-key"] * 2
        assert answers[0].content == answers[1].content


@pytest.mark.parametrize("name", ["", "a\nb", "a\x1b[2J", "a\x9b2J", "a\0", "a\u2028b", "\u202eb"])
async def test_a_name_that_could_steer_a_terminal_is_refused(name: str) -> None:
    served = Served(require_keys=True)
    async with served.client() as client:
        _, first = await served.keys.create_key(name="first", tenant="red")
        mine = {"Authorization": f"Bearer {first}"}
        made = await client.post("/v1/keys", json={"name": name}, headers=mine)
        assert made.status_code == 422
        plain = await client.post("/v1/keys", json={"name": "箱 no. 1"}, headers=mine)
        assert plain.status_code == 201
