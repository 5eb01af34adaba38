import pytest
from tests.unit.host.api.served import Served

pytestmark = pytest.mark.anyio


async def test_the_openapi_page_tells_every_route_and_its_problems() -> None:
    async with Served(require_keys=True).client() as client:
        page = (await client.get("/openapi.json")).json()
    assert page["openapi"].startswith("3.1")
    points = {
        f"{place}{path}"
        for place in (
            "/v1/conversations/{conversation_id}/workspace",
            "/v1/workspaces/{workspace_id}",
        )
        for path in (
            "/fork",
            "/import",
            "/recovery-points",
            "/recovery-points/{recovery_point}",
            "/recovery-points/{recovery_point}/diff",
            "/recovery-points/{recovery_point}/files/{path}",
            "/recovery-points/{recovery_point}/restore",
        )
    }
    assert set(page["paths"]) == points | {
        "/health",
        "/ready",
        "/metrics",
        "/metrics/workspaces",
        "/v1/conversations",
        "/v1/conversations/{conversation_id}",
        "/v1/conversations/{conversation_id}/messages",
        "/v1/conversations/{conversation_id}/interrupt",
        "/v1/conversations/{conversation_id}/events",
        "/v1/conversations/{conversation_id}/workspace",
        "/v1/conversations/{conversation_id}/workspace/exec",
        "/v1/conversations/{conversation_id}/workspace/files",
        "/v1/conversations/{conversation_id}/workspace/files/{path}",
        "/v1/conversations/{conversation_id}/workspace/usage",
        "/v1/workspaces",
        "/v1/workspaces/{workspace_id}",
        "/v1/workspaces/{workspace_id}/exec",
        "/v1/workspaces/{workspace_id}/files",
        "/v1/workspaces/{workspace_id}/files/{path}",
        "/v1/policies",
        "/v1/policies/{name}",
        "/v1/collection",
        "/v1/pool",
        "/v1/audit",
        "/v1/workspaces/{workspace_id}/usage",
        "/v1/keys",
        "/v1/keys/{key_id}",
    }
    for operations in page["paths"].values():
        for operation in operations.values():
            assert "application/problem+json" in operation["responses"]["default"]["content"]
    assert "Problem" in page["components"]["schemas"]
    assert page["security"] == [{"key": []}]


async def test_no_page_loads_scripts() -> None:
    async with Served().client() as client:
        for path in ("/docs", "/redoc"):
            assert (await client.get(path)).status_code == 404
