import pytest
from tests.unit.host.api.served import Served, problem

pytestmark = pytest.mark.anyio


async def test_one_is_made_found_listed_and_killed() -> None:
    served = Served()
    async with served.client() as client:
        made = await client.post("/v1/workspaces", json={})
        assert made.status_code == 201
        document = made.json()
        path = f"/v1/workspaces/{document['id']}"
        assert made.headers["location"] == path
        assert document == {
            "id": document["id"],
            "conversation_id": None,
            "policy": "default",
            "created_at": "2026-01-02T03:04:05Z",
            "state": "stored",
            "in_use": False,
            "generation": 0,
            "recovery_point": None,
        }
        await client.post(f"{path}/exec", json={"argv": ["x"]})
        assert (await client.get(path)).json()["state"] == "live"
        assert [one["id"] for one in (await client.get("/v1/workspaces")).json()["workspaces"]] == [
            document["id"]
        ]
        assert (await client.delete(path)).status_code == 204
        assert (await client.get(path)).json()["state"] == "stored"
        assert (await client.delete(f"{path}?files=delete")).status_code == 204
        assert problem(await client.get(path)) == "no-such-workspace"


async def test_pages_end() -> None:
    served = Served()
    async with served.client() as client:
        for _ in range(3):
            await client.post("/v1/workspaces")
        first = (await client.get("/v1/workspaces?limit=2")).json()
        rest = (await client.get(f"/v1/workspaces?limit=2&before={first['next']}")).json()
        assert (len(first["workspaces"]), len(rest["workspaces"]), rest["next"]) == (2, 1, None)


async def test_a_conversations_is_found_beside_it_and_goes_with_it() -> None:
    served = Served()
    async with served.client() as client:
        conversation = await served.world.conversation()
        path = f"/v1/conversations/{conversation.id}/workspace"
        found = (await client.get(path)).json()
        assert (found["id"], found["conversation_id"]) == (
            conversation.workspace_id,
            conversation.id,
        )
        refused = await client.delete(f"{path}?files=delete")
        assert (refused.status_code, problem(refused)) == (409, "workspace-owned")
        assert (await client.delete(path)).status_code == 204


async def test_a_running_turn_is_not_killed() -> None:
    served = Served()
    async with served.client() as client:
        conversation = await served.world.conversation()
        await served.world.store.begin_turn(
            conversation_id=conversation.id, text="x", now=conversation.created_at
        )
        refused = await client.delete(f"/v1/workspaces/{conversation.workspace_id}?files=lose")
        assert (refused.status_code, problem(refused)) == (409, "turn-running")


@pytest.mark.parametrize("body", [{"policy": "none"}, {"more": 1}, {"policy": "A"}])
async def test_what_cannot_be_made_is_told(body: dict[str, object]) -> None:
    served = Served()
    async with served.client() as client:
        refused = await client.post("/v1/workspaces", json=body)
        assert (refused.status_code, problem(refused)) == (422, "invalid-request")
        unknown = await client.delete("/v1/workspaces/w-1?files=maybe")
        assert unknown.status_code in (404, 422)
