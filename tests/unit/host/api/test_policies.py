import pytest
from tests.unit.host.api.served import Served, problem

from hakoiri.host.containers.ports import EngineError, PolicyRefusedError
from hakoiri.wire.policy import DENY_ALL, Policy, Rule

pytestmark = pytest.mark.anyio

OPEN = Policy(rules=[Rule(host="example.com")]).model_dump(mode="json")
SHUT = DENY_ALL.model_dump(mode="json")


async def test_the_default_policy_is_there_and_can_be_replaced() -> None:
    served = Served()
    async with served.client() as client:
        conversation = await served.world.conversation()
        assert (await client.get("/v1/policies/default")).json() == SHUT
        assert (await client.put("/v1/policies/default", json=OPEN)).json() == OPEN
        assert (await client.get("/v1/policies")).json() == {"policies": {"default": OPEN}}
        assert served.world.containers.log == [f"rebind {conversation.workspace_id}"]


async def test_a_missing_policy_is_404() -> None:
    async with Served().client() as client:
        refused = await client.get("/v1/policies/web")
        assert (refused.status_code, problem(refused)) == (404, "no-such-policy")


async def test_a_policy_that_the_proxy_refuses_changes_nothing() -> None:
    served = Served()
    served.world.containers.rebind_failures = [PolicyRefusedError("model: too wide")]
    async with served.client() as client:
        await served.world.conversation()
        refused = await client.put("/v1/policies/default", json=OPEN)
        assert (refused.status_code, problem(refused)) == (422, "policy-refused")
        assert refused.json()["detail"] == "model: too wide"
        assert (await client.get("/v1/policies/default")).json() == SHUT


async def test_an_engine_that_is_away_does_not_keep_the_old_policy_alive() -> None:
    served = Served()
    served.world.containers.rebind_failures = [EngineError("away")]
    async with served.client() as client:
        await served.world.conversation()
        assert (await client.put("/v1/policies/default", json=OPEN)).status_code == 200
        assert served.world.containers.log[-1] == "end policy-not-applied"


@pytest.mark.parametrize("host", ["*", "*.com", "EXAMPLE.com.", "a b", "exa\nmple.com"])
async def test_a_policy_that_cannot_be_is_refused_with_the_field(host: str) -> None:
    async with Served().client() as client:
        refused = await client.put("/v1/policies/web", json={"rules": [{"host": host}]})
        assert (refused.status_code, problem(refused)) == (422, "invalid-request")
        assert "rules.0.host" in refused.json()["detail"]


@pytest.mark.parametrize("name", ["UPPER", "a%20b", "x" * 64])
async def test_a_name_that_cannot_be_is_refused(name: str) -> None:
    async with Served().client() as client:
        refused = await client.put(f"/v1/policies/{name}", json=OPEN)
        assert (refused.status_code, problem(refused)) == (422, "invalid-request")
