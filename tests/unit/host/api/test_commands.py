import base64

import httpx2
import pytest
from tests.unit.host.api.served import Served, blocks, problem

from hakoiri.host.containers.ports import (
    AgentUnreachableError,
    CapacityError,
    StoppingError,
    WorkspaceGoneError,
)
from hakoiri.host.conversations.model import ConversationKind
from hakoiri.wire.command import CommandExit, CommandOutput

pytestmark = pytest.mark.anyio

SSE = {"Accept": "text/event-stream"}


async def exec_path(served: Served) -> str:
    return f"/v1/workspaces/{(await served.world.workspace()).id}/exec"


async def run(served: Served, **body: object) -> httpx2.Response:
    async with served.client() as client:
        return await client.post(await exec_path(served), json={"argv": ["x"]} | body)


async def test_the_result_is_one_document() -> None:
    served = Served()
    answer = await run(served)
    assert answer.json() == {
        "exit_code": 0,
        "signal": None,
        "timed_out": False,
        "output_cut": False,
        "stdout": "hi\n",
        "stderr": "",
    }
    assert answer.headers["cache-control"] == "no-store"
    (asked,) = served.world.containers.agent.asked
    assert (asked.argv, asked.timeout_s, asked.output_limit_bytes) == (["x"], 300, 1024 * 1024)


@pytest.mark.parametrize("kind", ["conversation", "workspace"])
async def test_it_is_the_same_in_both_places(kind: str) -> None:
    served = Served()
    async with served.client() as client:
        path = await exec_path(served)
        if kind == "conversation":
            conversation = await served.world.conversation()
            path = f"/v1/conversations/{conversation.id}/workspace/exec"
        assert (await client.post(path, json={"argv": ["x"]})).json()["stdout"] == "hi\n"


async def test_a_chat_has_no_workspace_to_run_it_in() -> None:
    served = Served()
    async with served.client() as client:
        chat = await served.world.conversation(ConversationKind.CHAT)
        answer = await client.post(
            f"/v1/conversations/{chat.id}/workspace/exec", json={"argv": ["x"]}
        )
    assert (answer.status_code, problem(answer)) == (404, "no-such-workspace")


async def test_events_are_told_as_they_come() -> None:
    served = Served()
    served.world.containers.agent.commands = [
        (1, CommandOutput.of("stderr", b"\xff")),
        (2, CommandOutput.of("stdout", "ü".encode()[:1])),
        (3, CommandOutput.of("stdout", "ü".encode()[1:] + b"\xc3")),
        (4, CommandExit(signal=9, timed_out=True, output_cut=True)),
    ]
    async with served.client(**SSE) as client:
        answer = await client.post(await exec_path(served), json={"argv": ["x"]})
    assert [(block.id, block.event, block.data) for block in blocks(answer.text)] == [
        ("1", "stderr", r'{"text": "\ufffd"}'),
        ("2", "stdout", r'{"text": "\u00fc"}'),
        ("3", "stdout", r'{"text": "\ufffd"}'),
        (
            "4",
            "exit",
            '{"exit_code": null, "signal": 9, "timed_out": true, "output_cut": true}',
        ),
    ]


async def test_base64_is_exact_both_ways() -> None:
    served = Served()
    served.world.containers.agent.commands = [
        (1, CommandOutput.of("stdout", b"\0\xff")),
        (2, CommandExit(code=0)),
    ]
    answer = await run(served, encoding="base64", stdin=base64.b64encode(b"\x80").decode())
    assert answer.json()["stdout"] == base64.b64encode(b"\0\xff").decode()
    assert served.world.containers.agent.asked[0].stdin == base64.b64encode(b"\x80").decode()


async def test_text_is_input_as_utf8() -> None:
    served = Served()
    await run(served, stdin="ü")
    assert served.world.containers.agent.asked[0].stdin == base64.b64encode("ü".encode()).decode()


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"argv": []}, "argv"),
        ({"argv": ["a\0"]}, "argv.0"),
        ({"directory": "/etc"}, "directory"),
        ({"environment": {"AWS_SECRET_ACCESS_KEY": "k"}}, "none enters a box"),
        ({"timeout_s": 0}, "timeout_s"),
        ({"output_limit_bytes": -1}, "output_limit_bytes"),
        ({"output_limit_bytes": 8 * 1024 * 1024 + 1}, "in one document"),
        ({"stdin": "x" * (4 * 1024 * 1024 + 1)}, "stdin"),
        ({"stdin": "?", "encoding": "base64"}, "stdin"),
        ({"more": 1}, "more"),
    ],
)
async def test_what_is_not_right_is_told_by_its_field(body: dict[str, object], why: str) -> None:
    served = Served()
    answer = await run(served, **body)
    assert (answer.status_code, problem(answer)) == (422, "invalid-request")
    assert why in answer.json()["detail"]
    assert served.world.containers.agent.asked == []


@pytest.mark.parametrize("accept", [{}, SSE])
async def test_no_place_is_a_problem_before_anything_is_sent(accept: dict[str, str]) -> None:
    served = Served()
    served.world.containers.claim_failure = CapacityError("all 2 are in use", retry_after_s=9)
    async with served.client(**accept) as client:
        answer = await client.post(await exec_path(served), json={"argv": ["x"]})
    assert (answer.status_code, problem(answer)) == (503, "capacity")
    assert answer.headers["retry-after"] == "9"


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (StoppingError("the server is stopping"), (503, "server-stopping")),
        (WorkspaceGoneError("it was killed"), (409, "workspace-gone")),
    ],
)
async def test_a_wait_that_is_ended_says_why(failure: Exception, told: tuple[int, str]) -> None:
    served = Served()
    served.world.containers.claim_failure = failure
    answer = await run(served)
    assert (answer.status_code, problem(answer)) == told
    assert "retry-after" not in answer.headers


@pytest.mark.parametrize(
    ("step", "code"),
    [
        (AgentUnreachableError("gone"), "container-lost"),
        ((7, CommandExit(code=0)), "agent-protocol"),
    ],
)
async def test_a_container_that_is_lost_or_lies_is_told(
    step: Exception | tuple[int, CommandExit], code: str
) -> None:
    served = Served()
    served.world.containers.agent.commands = [(1, CommandOutput.of("stdout", b"hi")), step]
    async with served.client() as client:
        path = await exec_path(served)
        answer = await client.post(path, json={"argv": ["x"]})
        assert (answer.status_code, problem(answer)) == (503, code)
        events = await client.post(path, json={"argv": ["x"]}, headers=SSE)
    assert [block.event for block in blocks(events.text)] == ["stdout", "error"]
    assert f'"code": "{code}"' in events.text


async def test_another_tenants_workspace_is_not_there() -> None:
    served = Served(require_keys=True)
    _, key = await served.keys.create_key(name="k", tenant="other")
    workspace = await served.world.workspace()
    conversation = await served.world.conversation()
    told = []
    async with served.client(Authorization=f"Bearer {key}") as client:
        for place in (f"workspaces/{workspace.id}", "workspaces/w-none", "workspaces/W--%20"):
            for path, method in (("", "GET"), ("", "DELETE"), ("/exec", "POST"), ("/files", "GET")):
                body = {"argv": ["x"]} if method == "POST" else None
                answer = await client.request(method, f"/v1/{place}{path}", json=body)
                assert answer.status_code == 404
                told.append(answer.text)
        answer = await client.post(
            f"/v1/conversations/{conversation.id}/workspace/exec", json={"argv": ["x"]}
        )
        assert (answer.status_code, problem(answer)) == (404, "no-such-conversation")
        assert (await client.get("/v1/workspaces")).json()["workspaces"] == []
    assert len(set(told)) == 1
    assert served.world.containers.agent.asked == []
