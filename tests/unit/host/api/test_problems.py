import pytest
from tests.unit.host.api.served import Served, problem

from hakoiri.host.api.problems import INTERNAL, MEANINGS, RefusedError, problem_of
from hakoiri.host.containers.ports import EngineError
from hakoiri.host.coordination.ports import CoordinationAwayError, UnsettledError
from hakoiri.wire.problems import Problem

pytestmark = pytest.mark.anyio


def test_every_mapped_error_has_a_status_and_a_code_of_its_own_kind() -> None:
    codes = [meaning.code for _, meaning in MEANINGS]
    assert all(400 <= meaning.status <= 599 for _, meaning in MEANINGS)
    assert codes.count("no-such-conversation") == 1


def test_a_subclass_is_told_as_its_base_and_vendors_words_stay_inside() -> None:
    told = problem_of(EngineError("engine at unix:///var/run/docker.sock says no"))
    assert (told.status, told.code) == (503, "containers-unavailable")
    assert "docker.sock" not in told.detail


def test_what_nobody_foresaw_says_nothing() -> None:
    assert problem_of(ZeroDivisionError("a secret")) is INTERNAL


def test_a_refusal_is_its_own_problem() -> None:
    own = Problem.of("x", title="y", status=400)
    assert problem_of(RefusedError(own)) is own


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not-found"),
        ("GET", "/v1/conversations/", 404, "not-found"),
        ("PATCH", "/v1/conversations", 405, "method-not-allowed"),
    ],
)
async def test_what_is_not_there_is_a_problem_too(
    method: str, path: str, status: int, code: str
) -> None:
    async with Served().client() as client:
        answer = await client.request(method, path)
        assert (answer.status_code, problem(answer)) == (status, code)


async def test_a_fault_of_ours_is_a_500_that_tells_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    served = Served()

    async def fail(**_: object) -> None:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr(served.world.conversations, "get", fail)
    async with served.client() as client:
        answer = await client.get("/v1/conversations/c-1")
        assert (answer.status_code, problem(answer)) == (500, "internal")
        assert "a secret" not in answer.text


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (CoordinationAwayError("Redis at 10.0.0.5"), "coordination-away", "Try again later"),
        (UnsettledError("try again in a moment"), "unsettled", "try again in a moment"),
    ],
)
async def test_servers_that_cannot_agree_say_when_to_come_again(
    monkeypatch: pytest.MonkeyPatch, error: Exception, code: str, told: str
) -> None:
    served = Served()

    async def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(served.world.conversations, "get", fail)
    async with served.client() as client:
        answer = await client.get("/v1/conversations/c-1")
        assert (answer.status_code, problem(answer)) == (503, code)
        assert answer.headers["Retry-After"] == "5"
        assert told in answer.text
        assert "10.0.0.5" not in answer.text


@pytest.mark.anyio
async def test_what_is_wrong_with_a_request_is_told_in_our_words() -> None:
    async with Served().client() as client:
        unknown = await client.post("/v1/conversations", json={"knd": "agent"})
        broken = await client.post(
            "/v1/conversations", content=b'{"kind":', headers={"Content-Type": "application/json"}
        )
        nowhere = await client.get("/v1/nowhere")
        wrong = await client.put("/v1/pool/x", json={})
        method = await client.post("/v1/pool", json={})
    assert unknown.json()["detail"] == "knd: there is no such field"
    assert broken.json()["detail"].startswith("the body is not JSON: ")
    assert broken.json()["detail"].endswith(", at character 8")
    assert "/openapi.json" in nowhere.json()["detail"]
    assert wrong.status_code == 404
    assert method.status_code == 405
    assert method.json()["detail"].startswith("This path takes ")
