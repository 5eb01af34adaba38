import anyio
import pytest
from tests.unit.host.api.served import Served, blocks, problem
from tests.unit.host.conversations.scripted import (
    ANSWER,
    ScriptedAgent,
    ScriptedContainers,
    World,
)

from hakoiri.host.containers.ports import CapacityError
from hakoiri.host.conversations.ports import StoreError
from hakoiri.wire.messages import MESSAGE_TEXT_LIMIT_CHARS

pytestmark = pytest.mark.anyio


async def test_an_empty_object_makes_a_conversation() -> None:
    async with Served().client() as client:
        made = await client.post("/v1/conversations", json={})
        assert made.status_code == 201
        document = made.json()
        assert document["kind"] == "agent"
        assert made.headers["location"] == f"/v1/conversations/{document['id']}"
        found = await client.get(made.headers["location"])
        assert found.json() == document
        listed = await client.get("/v1/conversations")
        assert listed.json() == {"conversations": [document], "next": None}


async def test_options_are_kept() -> None:
    options = {
        "model": "m-1",
        "system_prompt": "be brief",
        "allowed_tools": ["Bash"],
        "permission_mode": "plan",
        "max_turns": 3,
    }
    async with Served().client() as client:
        made = await client.post("/v1/conversations", json={"policy": "default", **options})
        assert made.json()["options"] == options


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "robot"}, "kind"),
        ({"colour": "red"}, "colour"),
        ({"policy": "../etc"}, "policy"),
        ({"policy": "missing"}, "policy"),
        ({"max_turns": 0}, "max_turns"),
        ({"system_prompt": "x" * 200_001}, "system_prompt"),
        ({"kind": "chat", "allowed_tools": ["Bash"]}, "allowed_tools"),
    ],
)
async def test_what_cannot_be_made_is_refused_with_the_field(
    body: dict[str, object], field: str
) -> None:
    async with Served().client() as client:
        refused = await client.post("/v1/conversations", json=body)
        assert refused.status_code == 422
        assert problem(refused) == "invalid-request"
        assert refused.json()["detail"].startswith(f"{field}:")


async def test_a_list_pages() -> None:
    async with Served().client() as client:
        made = [(await client.post("/v1/conversations", json={})).json()["id"] for _ in range(5)]
        first = (await client.get("/v1/conversations?limit=3")).json()
        second = (await client.get(f"/v1/conversations?limit=3&before={first['next']}")).json()
        assert {c["id"] for c in first["conversations"] + second["conversations"]} == set(made)
        assert second["next"] is None


async def test_a_message_is_accepted_and_its_turn_can_be_followed() -> None:
    served = Served()
    async with served.client() as client:
        path = (await client.post("/v1/conversations", json={})).headers["location"]
        accepted = await client.post(f"{path}/messages", json={"text": "hi"})
        assert accepted.status_code == 202
        assert accepted.json() == {"turn": 1, "event": 1}


async def test_a_message_streams_its_own_turn_to_the_end() -> None:
    async with Served().client() as client:
        path = (await client.post("/v1/conversations", json={})).headers["location"]
        sse = {"Accept": "text/event-stream"}
        for turn in (1, 2):
            answer = await client.post(f"{path}/messages", json={"text": "hi"}, headers=sse)
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["x-accel-buffering"] == "no"
            read = blocks(answer.text)
            assert [int(block.id) for block in read] == list(range(5 * turn - 4, 5 * turn + 1))
            assert [block.event for block in read][:: len(read) - 1] == ["user_message", "result"]


async def test_a_second_message_while_a_turn_runs_is_409() -> None:
    go_on = anyio.Event()
    world = World(containers=ScriptedContainers(agent=ScriptedAgent([go_on, *ANSWER])))
    async with Served(world).client() as client:
        path = (await client.post("/v1/conversations", json={})).headers["location"]
        await client.post(f"{path}/messages", json={"text": "hi"})
        refused = await client.post(f"{path}/messages", json={"text": "hi"})
        assert (refused.status_code, problem(refused)) == (409, "turn-running")
        refused = await client.delete(path)
        assert (refused.status_code, problem(refused)) == (409, "turn-running")
        go_on.set()


async def test_a_turn_can_be_interrupted_once() -> None:
    agent = ScriptedAgent([])
    agent.scripts = [[agent.interrupted, *ANSWER]]
    async with Served(World(containers=ScriptedContainers(agent=agent))).client() as client:
        path = (await client.post("/v1/conversations", json={})).headers["location"]
        refused = await client.post(f"{path}/interrupt")
        assert (refused.status_code, problem(refused)) == (409, "no-turn-running")
        await client.post(f"{path}/messages", json={"text": "hi"})
        await anyio.wait_all_tasks_blocked()
        assert (await client.post(f"{path}/interrupt")).status_code == 202
        await anyio.wait_all_tasks_blocked()
        assert len(agent.interrupts) == 1


async def test_a_deleted_conversation_is_gone_and_its_container_too() -> None:
    served = Served()
    async with served.client() as client:
        path = (await client.post("/v1/conversations", json={})).headers["location"]
        assert (await client.delete(path)).status_code == 204
        assert (await client.get(path)).status_code == 404
        assert served.world.containers.log == ["retire deleted"]


@pytest.mark.parametrize(
    "text", ["", None, 7, "x" * (MESSAGE_TEXT_LIMIT_CHARS + 1), ["a"], {"a": "b"}]
)
async def test_a_message_that_is_no_text_within_bounds_names_the_field(text: object) -> None:
    async with Served().client() as client:
        path = (await client.post("/v1/conversations", json={})).headers["location"]
        refused = await client.post(f"{path}/messages", json={"text": text})
        assert (refused.status_code, problem(refused)) == (422, "invalid-request")
        assert refused.json()["detail"].startswith("text:")
        assert len(refused.json()["detail"]) < 300


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 422),
        (b"[" * 100_000, 400),
        (b'{"text": "\\ud800"}', 422),
        (b'{"text": "a", "more": 1}', 422),
        (b"\xff\xfe", 422),
        (b"", 422),
    ],
)
async def test_a_broken_body_is_a_problem(body: bytes, status: int) -> None:
    async with Served().client() as client:
        path = (await client.post("/v1/conversations", json={})).headers["location"]
        headers = {"Content-Type": "application/json"}
        refused = await client.post(f"{path}/messages", content=body, headers=headers)
        assert refused.status_code == status
        assert problem(refused) in ("invalid-request", "malformed-request")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/messages"),
        ("POST", "/interrupt"),
        ("GET", "/events"),
        ("GET", "/workspace/files"),
        ("GET", "/workspace/files/a.txt"),
    ],
)
async def test_a_foreign_conversation_answers_exactly_like_a_missing_one(
    method: str, path: str
) -> None:
    served = Served()
    async with served.client() as client:
        foreign = (await served.world.conversation(tenant="other")).id
        answers = []
        for name in (foreign, "c-" + "0" * 32, "not%00an%20id", "X" * 500):
            body = {"text": "hi"} if path == "/messages" else None
            answer = await client.request(method, f"/v1/conversations/{name}{path}", json=body)
            assert (answer.status_code, problem(answer)) == (404, "no-such-conversation")
            answers.append((answer.content, sorted(answer.headers.items())))
        assert all(answer == answers[0] for answer in answers)


async def test_a_database_that_is_away_is_503_and_says_nothing_of_itself() -> None:
    served = Served()
    async with served.client() as client:
        served.world.store.broken = True
        refused = await client.get("/v1/conversations")
        assert (refused.status_code, problem(refused)) == (503, "store-unavailable")
        assert str(StoreError("the database does not answer")) not in refused.json()["detail"]


async def test_a_runtime_is_shown_or_refused_with_a_problem() -> None:
    served = Served(World(runtimes=("runc", "runsc")))
    async with served.client() as client:
        made = await client.post("/v1/conversations", json={"runtime": "runsc"})
        assert (made.status_code, made.json()["runtime"]) == (201, "runsc")
        plain = await client.post("/v1/conversations", json={})
        assert plain.json()["runtime"] is None
        unknown = await client.post("/v1/conversations", json={"runtime": "kata"})
        assert (unknown.status_code, problem(unknown)) == (422, "invalid-request")
    async with Served().client() as client:
        refused = await client.post("/v1/conversations", json={"runtime": "runsc"})
        assert (refused.status_code, problem(refused)) == (422, "runtime-not-allowed")
        assert "runtime: this server does not allow runsc" in refused.json()["detail"]


async def test_a_message_that_could_not_even_wait_is_refused_before_it_is_recorded() -> None:
    served = Served()
    served.world.containers.full = CapacityError("the line is full", retry_after_s=17)
    async with served.client() as client:
        path = (await client.post("/v1/conversations", json={})).headers["location"]
        refused = await client.post(f"{path}/messages", json={"text": "hi"})
        assert (refused.status_code, problem(refused)) == (503, "capacity")
        assert refused.headers["retry-after"] == "17"
        shown = (await client.get(path)).json()
        assert (shown["turn"], shown["last_event"], shown["running"]) == (0, 0, False)
        served.world.containers.full = None
        assert (await client.post(f"{path}/messages", json={"text": "hi"})).status_code == 202


async def test_a_chat_needs_no_container_and_waits_for_none() -> None:
    served = Served()
    served.world.containers.full = CapacityError("the line is full", retry_after_s=17)
    async with served.client() as client:
        made = await client.post("/v1/conversations", json={"kind": "chat", "model": "m"})
        path = made.headers["location"]
        assert (await client.post(f"{path}/messages", json={"text": "hi"})).status_code == 202
