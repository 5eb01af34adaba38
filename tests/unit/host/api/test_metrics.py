import pytest
from tests.unit.host.api.served import Served, problem

pytestmark = pytest.mark.anyio


async def test_the_figures_are_told_as_they_are() -> None:
    served = Served()
    async with served.client() as client:
        answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.text == served.figures


async def test_those_of_workspaces_are_a_page_of_their_own() -> None:
    served = Served()
    async with served.client() as client:
        answer = await client.get("/metrics/workspaces")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.text == served.workspace_figures


@pytest.mark.parametrize("path", ["/metrics", "/metrics/workspaces"])
async def test_with_keys_they_are_for_who_runs_the_server(path: str) -> None:
    served = Served(require_keys=True)
    async with served.client() as client:
        refused = await client.get(path)
        assert (refused.status_code, problem(refused)) == (401, "unauthorised")
        for tenant, status in (("default", 200), ("red", 403)):
            _, text = await served.keys.create_key(name="n", tenant=tenant)
            bearer = {"Authorization": f"Bearer {text}"}
            answer = await client.get(path, headers=bearer)
            assert answer.status_code == status
        assert problem(answer) == "metrics-not-allowed"


async def test_a_strangers_page_does_not_get_them() -> None:
    async with Served().client() as client:
        for headers in ({"Host": "rebound.test"}, {"Origin": "http://elsewhere.test"}):
            refused = await client.get("/metrics", headers=headers)
            assert refused.status_code == 403
