import pytest
from tests.unit.host.api.served import Served, problem

from hakoiri.host.files.quota import DiskUse, TreeUse
from hakoiri.host.usage.figures import CgroupFigures, Usage

pytestmark = pytest.mark.anyio

DISK = DiskUse(used_bytes=500, quota_bytes=1000, used_inodes=1, quota_inodes=10)
USED = Usage(
    "c1",
    CgroupFigures(1.5, 4000, None, 7, 64, 2),
    at_s=0,
    cpu_cores=0.25,
    disk=TreeUse(workspace=DISK, home=DISK),
)


async def test_a_live_workspaces_use_is_told_in_both_places() -> None:
    served = Served()
    async with served.client() as client:
        conversation = await served.world.conversation()
        assert conversation.workspace_id is not None
        served.usages[conversation.workspace_id] = USED
        expected = {
            "state": "live",
            "cpu_seconds": 1.5,
            "cpu_cores": 0.25,
            "memory_bytes": 4000,
            "memory_limit_bytes": None,
            "pids": 7,
            "pids_limit": 64,
            "oom_kills": 2,
            "workspace": {
                "used_bytes": 500,
                "quota_bytes": 1000,
                "used_inodes": 1,
                "quota_inodes": 10,
            },
        }
        expected["home"] = expected["workspace"]
        for path in (
            f"/v1/conversations/{conversation.id}/workspace/usage",
            f"/v1/workspaces/{conversation.workspace_id}/usage",
        ):
            answer = await client.get(path)
            assert answer.json() == expected
            assert answer.headers["cache-control"] == "no-store"


async def test_one_without_a_container_uses_nothing() -> None:
    served = Served()
    async with served.client() as client:
        made = (await client.post("/v1/workspaces")).json()
        found = (await client.get(f"/v1/workspaces/{made['id']}/usage")).json()
        assert found.pop("state") == "stored"
        assert set(found.values()) == {None}


async def test_another_tenants_is_not_found() -> None:
    served = Served()
    async with served.client() as client:
        theirs = await served.world.workspace(tenant="other")
        served.usages[theirs.id] = USED
        assert problem(await client.get(f"/v1/workspaces/{theirs.id}/usage")) == "no-such-workspace"
