import pytest
from tests.unit.host.api.served import Served, problem

from hakoiri.audit.event import EventKind
from hakoiri.host.conversations.audit_view import (
    AuditCursorError,
    AuditPage,
    AuditUnavailableError,
)

pytestmark = pytest.mark.anyio


async def test_who_runs_the_server_sees_all_or_one_tenants() -> None:
    served = Served()
    served.audit_answer = AuditPage(events=[{"time": 1}], next="further")
    async with served.client() as client:
        answer = await client.get("/v1/audit")
        assert answer.json() == {"events": [{"time": 1}], "next": "further"}
        assert answer.headers["cache-control"] == "no-store"
        await client.get("/v1/audit?tenant=shop")
    assert [query.tenant for query in served.audit_asked] == [None, "shop"]


async def test_a_tenant_sees_its_own_and_cannot_ask_for_anothers() -> None:
    served = Served(require_keys=True)
    _, key = await served.keys.create_key(name="k", tenant="shop")
    async with served.client(authorization=f"Bearer {key}") as client:
        assert (await client.get("/v1/audit")).status_code == 200
        assert (await client.get("/v1/audit?tenant=shop")).status_code == 200
        refused = await client.get("/v1/audit?tenant=toys")
        assert (refused.status_code, problem(refused)) == (403, "audit-not-allowed")
    assert [query.tenant for query in served.audit_asked] == ["shop", "shop"]


async def test_without_a_key_nothing_is_seen() -> None:
    served = Served(require_keys=True)
    async with served.client() as client:
        assert (await client.get("/v1/audit")).status_code == 401
    assert served.audit_asked == []


async def test_each_filter_is_asked_for() -> None:
    served = Served()
    async with served.client() as client:
        answer = await client.get(
            "/v1/audit?event=turn_started&event=turn_ended&workspace=w1&container=c1"
            "&conversation=v1&text=abc&since=2026-01-02T00:00&until=2026-01-03T00:00"
            "&failed=true&limit=7&before=further"
        )
        assert answer.status_code == 200
    (query,) = served.audit_asked
    assert query.events == [EventKind.TURN_STARTED, EventKind.TURN_ENDED]
    assert (query.workspace, query.container, query.conversation) == ("w1", "c1", "v1")
    assert (query.text, query.failed_only, query.limit, query.before) == ("abc", True, 7, "further")
    assert (query.since_ms, query.until_ms) == (1767312000000, 1767398400000)


@pytest.mark.parametrize(
    "asked",
    [
        "event=unheard_of",
        "limit=0",
        "limit=201",
        "since=yesterday",
        "since=1960-01-01",
        "until=" + "9" * 50,
        "workspace=",
        "text=" + "x" * 129,
        "before=" + "x" * 1025,
    ],
)
async def test_what_is_no_question_is_refused_before_anybody_is_asked(asked: str) -> None:
    served = Served()
    async with served.client() as client:
        refused = await client.get(f"/v1/audit?{asked}")
        assert (refused.status_code, problem(refused)) == (422, "invalid-request")
    assert served.audit_asked == []


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (AuditUnavailableError("no audit log is kept"), 503, "audit-unavailable"),
        (AuditCursorError("before: begin anew"), 422, "invalid-request"),
    ],
)
async def test_what_the_reader_cannot_answer_is_a_problem(
    error: Exception, status: int, code: str
) -> None:
    served = Served()
    served.audit_answer = error
    async with served.client() as client:
        refused = await client.get("/v1/audit")
        assert (refused.status_code, problem(refused)) == (status, code)
        assert refused.json()["detail"] == str(error)
