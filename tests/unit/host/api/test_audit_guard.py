import re

import pytest
from tests.unit.host.api.served import Served, problem

from hakoiri.host.api.audit_guard import begins

pytestmark = pytest.mark.anyio

FULL = "the audit log /var/log/hakoiri/x cannot be written: No space left on device"
FREE = {
    ("POST", "/v1/conversations/x/interrupt"),
    ("DELETE", "/v1/workspaces/x"),
    ("DELETE", "/v1/conversations/x/workspace"),
    ("DELETE", "/v1/keys/x"),
}
"""All that changes something and is done though it cannot be recorded."""


def routes(served: Served) -> list[tuple[str, str]]:
    """Return each method and path that the server answers, with names filled in."""
    return sorted(
        (method, re.sub(r"\{[^}]*\}", "x", path))
        for path, methods in served.app.openapi()["paths"].items()
        for method in map(str.upper, methods)
    )


async def test_what_begins_or_changes_something_is_refused_and_nothing_else() -> None:
    served = Served()
    served.hindrance = FULL
    found = routes(served)
    assert len([one for one in found if one[0] != "GET"]) > 20
    assert set(found) >= FREE
    async with served.client() as client:
        for method, path in found:
            answer = await client.request(method, path)
            is_held_back = answer.status_code == 503 and problem(answer) == "audit-unavailable"
            assert is_held_back is (method != "GET" and (method, path) not in FREE), (method, path)


async def test_a_refusal_says_what_to_do_and_when_to_come_again() -> None:
    served = Served()
    served.hindrance = FULL
    async with served.client() as client:
        refused = await client.post("/v1/conversations", json={})
        assert (refused.status_code, problem(refused)) == (503, "audit-unavailable")
        assert refused.headers["Retry-After"] == "5"
        told = refused.json()
        assert told["title"] == "The audit log cannot be used"
        assert "HAKOIRI_AUDIT__DIR" in told["detail"]
        assert "/var/log" not in refused.text, "what the disk says is for /ready"
        served.hindrance = None
        assert (await client.post("/v1/conversations", json={})).status_code == 201


async def test_no_turn_begins_and_what_there_is_can_be_read() -> None:
    served = Served()
    async with served.client() as client:
        made = (await client.post("/v1/conversations", json={})).json()["id"]
        served.hindrance = FULL
        refused = await client.post(f"/v1/conversations/{made}/messages", json={"text": "hello"})
        assert problem(refused) == "audit-unavailable"
        shown = await client.get(f"/v1/conversations/{made}")
        assert (shown.status_code, shown.json()["turn"]) == (200, 0)


async def test_a_stranger_is_refused_as_a_stranger() -> None:
    served = Served(require_keys=True)
    served.hindrance = FULL
    async with served.client() as client:
        assert (await client.post("/v1/conversations", json={})).status_code == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PATCH", "/v1/conversations/x/interrupt"),
        ("POST", "/v1/conversations/x/y/interrupt"),
        ("POST", "/v1/conversations/x/interrupt/"),
        ("POST", "/v1/conversations/x/interrupt\n"),
        ("DELETE", "/v1/workspaces/x/files/y"),
        ("DELETE", "/v1/conversations/x"),
        ("DELETE", "/v2/keys/x"),
        ("CONNECT", "/v1/keys/x"),
    ],
)
def test_only_what_is_named_is_let_through(method: str, path: str) -> None:
    assert begins(method, path)
