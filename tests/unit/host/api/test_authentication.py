import pytest
from tests.unit.host.api.served import Served, problem

pytestmark = pytest.mark.anyio


async def test_without_a_key_nothing_under_v1_answers() -> None:
    served = Served(require_keys=True)
    async with served.client() as client:
        bodies = set()
        for method, path in [
            ("GET", "/v1/conversations"),
            ("POST", "/v1/conversations"),
            ("GET", "/v1/conversations/c-1/events"),
            ("GET", "/v1/policies"),
            ("GET", "/v1/keys"),
            ("GET", "/v1/nothing"),
        ]:
            refused = await client.request(method, path)
            assert (refused.status_code, problem(refused)) == (401, "unauthorised")
            assert refused.headers["www-authenticate"] == "Bearer"
            bodies.add(refused.content)
        assert len(bodies) == 1
        assert (await client.get("/health")).status_code == 200


async def test_a_strangers_body_is_not_read() -> None:
    served = Served(require_keys=True)
    async with served.client() as client:
        refused = await client.post("/v1/conversations", content=b"x" * 3_000_000)
        assert problem(refused) == "unauthorised"


async def test_a_key_opens_its_own_tenant_only() -> None:
    served = Served(require_keys=True)
    async with served.client() as client:
        bearer = {}
        for tenant in ("red", "blue"):
            _, text = await served.keys.create_key(name="n", tenant=tenant)
            bearer[tenant] = {"Authorization": f"Bearer {text}"}
        made = await client.post("/v1/conversations", json={}, headers=bearer["red"])
        path = made.headers["location"]
        assert (await client.get(path, headers=bearer["red"])).status_code == 200
        refused = await client.get(path, headers=bearer["blue"])
        assert (refused.status_code, problem(refused)) == (404, "no-such-conversation")


async def test_two_authorizations_are_none() -> None:
    served = Served(require_keys=True)
    async with served.client() as client:
        _, text = await served.keys.create_key(name="n", tenant="red")
        twice = [("Authorization", f"Bearer {text}")] * 2
        assert (await client.get("/v1/keys", headers=twice)).status_code == 401


async def test_a_keyless_server_is_the_default_tenants() -> None:
    served = Served()
    async with served.client() as client:
        made = (await client.post("/v1/conversations", json={})).json()["id"]
        await served.world.conversations.get(tenant="default", conversation_id=made)
