import pytest
from tests.unit.host.api.served import Served, problem

from hakoiri.host.files.ports import FilesError

pytestmark = pytest.mark.anyio


async def test_who_runs_the_server_has_the_store_collected() -> None:
    served = Served()
    async with served.client() as client:
        done = await client.post("/v1/collection", json={})
        assert done.status_code == 200
        assert done.json()["left"] == {"objects": 2, "size_bytes": 30}
        assert done.json()["is_dry"] is False
        dry = await client.post("/v1/collection", json={"dry_run": True})
        assert dry.json()["is_dry"] is True
        wrong = await client.post("/v1/collection", json={"dryrun": True})
        assert (wrong.status_code, problem(wrong)) == (422, "invalid-request")
    assert served.collection.passes == [False, True]


async def test_a_store_that_does_not_answer_is_told() -> None:
    served = Served()
    served.collection.failure = FilesError("403 for a key")
    async with served.client() as client:
        answer = await client.post("/v1/collection", json={})
        assert (answer.status_code, problem(answer)) == (503, "files-unavailable")


async def test_other_tenants_may_not() -> None:
    served = Served(require_keys=True)
    _, key = await served.keys.create_key(name="k", tenant="other")
    async with served.client(Authorization=f"Bearer {key}") as client:
        answer = await client.post("/v1/collection", json={})
        assert (answer.status_code, problem(answer)) == (403, "collection-not-allowed")
    async with served.client() as client:
        assert (await client.post("/v1/collection", json={})).status_code == 401
    assert served.collection.passes == []
