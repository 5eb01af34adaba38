"""Recovery points over HTTP."""

from dataclasses import replace
from typing import Any

import httpx2
import pytest
from tests.unit.host.api.served import Served, problem
from tests.unit.host.conversations.scripted import Report, World

from hakoiri.host.conversations.model import Workspace
from hakoiri.host.files.manifest import Entry

pytestmark = pytest.mark.anyio

NONE = "rp-" + "0" * 32
FILE = Entry("workspace", b"a", "file", 0o644, 0, 0, "0" * 64, parts=())


async def of_conversation(world: World, tenant: str = "default") -> Workspace:
    conversation = await world.conversation(tenant=tenant)
    return world.store.workspaces[str(conversation.workspace_id)]


def places(workspace: Workspace) -> list[str]:
    return [
        f"/v1/workspaces/{workspace.id}",
        f"/v1/conversations/{workspace.conversation_id}/workspace",
    ]


async def test_they_are_listed_in_both_places() -> None:
    served = Served()
    async with served.client() as client:
        workspace = await of_conversation(served.world)
        made = [await served.world.recovery_point(workspace, FILE) for _ in range(3)]
        for place in places(workspace):
            page = (await client.get(f"{place}/recovery-points?limit=2")).json()
            assert [one["id"] for one in page["recovery_points"]] == made[:0:-1]
            rest = await client.get(f"{place}/recovery-points?limit=2&before={page['next']}")
            assert [one["id"] for one in rest.json()["recovery_points"]] == made[:1]
            assert rest.json()["next"] is None
        newest = page["recovery_points"][0]
        assert newest | {"created_at": ""} == {
            "id": made[2],
            "created_at": "",
            "reason": "turn-end",
            "turn": 0,
            "event_number": 0,
            "generation": 1,
            "files": 1,
            "file_bytes": 0,
            "kept": False,
            "newest": True,
            "parent": made[1],
        }
        one = await client.get(f"{places(workspace)[0]}/recovery-points/{made[0]}")
        assert one.json()["newest"] is False


async def test_one_is_kept_let_go_and_dropped() -> None:
    served = Served()
    async with served.client() as client:
        workspace = await served.world.workspace()
        old, newest = [await served.world.recovery_point(workspace) for _ in range(2)]
        base = f"/v1/workspaces/{workspace.id}/recovery-points"
        for kept in (True, True, False):
            told = await client.patch(f"{base}/{old}", json={"kept": kept})
            assert (told.status_code, told.json()["kept"]) == (200, kept)
        assert problem(await client.patch(f"{base}/{old}", json={})) == "invalid-request"
        refused = await client.delete(f"{base}/{newest}")
        assert (refused.status_code, problem(refused)) == (409, "recovery-point-in-use")
        assert (await client.delete(f"{base}/{old}")).status_code == 204
        assert problem(await client.delete(f"{base}/{old}")) == "no-such-recovery-point"


async def test_one_is_made_now() -> None:
    served = Served()
    async with served.client() as client:
        workspace = await served.world.workspace()
        base = f"/v1/workspaces/{workspace.id}/recovery-points"
        assert problem(await client.post(base)) == "no-such-recovery-point"
        newest = await served.world.recovery_point(workspace)
        made = await client.post(base)
        assert (made.status_code, made.json()["id"]) == (201, newest)
        assert made.headers["location"] == f"{base}/{newest}"


async def test_a_workspace_is_put_back_and_told_how_to_undo_it() -> None:
    served = Served()
    async with served.client() as client:
        workspace = await served.world.workspace()
        old = await served.world.recovery_point(workspace, FILE)
        newest = await served.world.recovery_point(workspace)
        base = f"/v1/workspaces/{workspace.id}/recovery-points"
        stale = await client.post(f"{base}/{old}/restore", json={"expected_newest": old})
        assert (stale.status_code, problem(stale)) == (409, "workspace-changed")
        told = await client.post(f"{base}/{old}/restore", json={"expected_newest": newest})
        assert told.status_code == 200
        document = told.json()
        assert (document["undo"], document["left_out"]) == (newest, [])
        point = document["recovery_point"]
        assert (point["reason"], point["newest"], point["files"]) == ("restored", True, 1)
        back = await client.post(f"{base}/{document['undo']}/restore")
        assert back.json()["recovery_point"]["files"] == 0


async def test_a_restore_is_refused_while_somebody_works() -> None:
    served = Served()
    async with served.client() as client:
        workspace = await of_conversation(served.world)
        old = await served.world.recovery_point(workspace)
        base = f"/v1/workspaces/{workspace.id}/recovery-points"
        served.world.containers.held[workspace.id] = {"command 1"}
        served.world.files.report = Report(recovery_point=old)
        busy = await client.post(f"{base}/{old}/restore")
        assert (busy.status_code, problem(busy)) == (409, "workspace-in-use")
        conversation = str(workspace.conversation_id)
        await served.world.store.begin_turn(
            conversation_id=conversation, text="x", now=workspace.created_at
        )
        running = await client.post(f"{base}/{old}/restore")
        assert (running.status_code, problem(running)) == (409, "turn-running")


async def test_a_fork_is_a_workspace_or_a_conversation() -> None:
    served = Served()
    async with served.client() as client:
        workspace = await of_conversation(served.world)
        old = await served.world.recovery_point(workspace, event_number=4)
        newest = await served.world.recovery_point(workspace, event_number=9)
        alone, conversation = places(workspace)
        made = await client.post(f"{alone}/fork", json={"recovery_point": old})
        document = made.json()
        assert (made.status_code, document["conversation_id"]) == (201, None)
        assert made.headers["location"] == f"/v1/workspaces/{document['workspace_id']}"
        assert document["from_workspace_id"] == workspace.id
        assert (document["from_recovery_point"], document["from_event_number"]) == (old, 4)
        made = await client.post(f"{conversation}/fork")
        document = made.json()
        assert made.headers["location"] == f"/v1/conversations/{document['conversation_id']}"
        assert document["from_recovery_point"] == newest
        assert document["recovery_point"] != newest


def calls(base: str, point: str) -> list[tuple[str, str, dict[str, Any] | None]]:
    """All that can be asked of one recovery point and its workspace."""
    one = f"{base}/recovery-points/{point}"
    return [
        ("GET", f"{base}/recovery-points", None),
        ("POST", f"{base}/recovery-points", None),
        ("GET", one, None),
        ("PATCH", one, {"kept": True}),
        ("DELETE", one, None),
        ("POST", f"{one}/restore", None),
        ("GET", f"{one}/diff", None),
        ("GET", f"{one}/files/a", None),
        ("POST", f"{base}/fork", {"recovery_point": point}),
    ]


async def ask(
    client: httpx2.AsyncClient, call: tuple[str, str, dict[str, Any] | None]
) -> httpx2.Response:
    method, path, body = call
    return await client.request(method, path, json=body)


async def test_another_tenants_points_are_answered_like_missing_ones() -> None:
    served = Served(require_keys=True)
    _, secret = await served.keys.create_key(tenant="mine", name="test")
    async with served.client(Authorization=f"Bearer {secret}") as client:
        theirs = await of_conversation(served.world, tenant="other")
        old = await served.world.recovery_point(theirs, FILE)
        await served.world.recovery_point(theirs)
        before = dict(served.world.objects.objects)
        missing = replace(theirs, id="w-missing", conversation_id="c-missing")
        for place, nowhere in zip(places(theirs), places(missing), strict=True):
            for call, other in zip(calls(place, old), calls(nowhere, old), strict=True):
                got, expected = await ask(client, call), await ask(client, other)
                assert got.status_code == 404, call
                assert got.json() == expected.json(), call
        assert served.world.objects.objects == before, "nothing was written"
        points = served.world.points.points
        left = await points.list(theirs, limit=9, before=None)
        assert [point.is_kept for point in left] == [False, False]


async def test_a_point_of_another_workspace_of_the_tenant_is_none_of_this_one() -> None:
    served = Served()
    async with served.client() as client:
        mine, other = [await served.world.workspace() for _ in range(2)]
        await served.world.recovery_point(mine)
        theirs = await served.world.recovery_point(other, FILE)
        for call in calls(f"/v1/workspaces/{mine.id}", theirs)[2:]:
            answer = await ask(client, call)
            assert (answer.status_code, problem(answer)) == (404, "no-such-recovery-point"), call


@pytest.mark.parametrize("point", [NONE, "rp-x", "%00", "rp-" + "A" * 32, "x" * 300])
async def test_what_cannot_be_a_point_is_not_there(point: str) -> None:
    served = Served()
    async with served.client() as client:
        workspace = await served.world.workspace()
        await served.world.recovery_point(workspace)
        base = f"http://localhost/v1/workspaces/{workspace.id}"
        for method, path in (
            ("GET", f"recovery-points/{point}"),
            ("DELETE", f"recovery-points/{point}"),
            ("POST", f"recovery-points/{point}/restore"),
            ("GET", f"recovery-points?before={point}"),
        ):
            answer = await client.request(method, f"{base}/{path}")
            assert answer.status_code in (404, 405)
            assert problem(answer) in ("no-such-recovery-point", "not-found", "method-not-allowed")
