"""Imports over HTTP: one document, or events; refusals with their field and mend."""

import json
from collections.abc import Sequence

import httpx2
import pytest
from tests.unit.host.api.served import Served, blocks, problem
from tests.unit.host.conversations.scripted import CommandStep

from hakoiri.host.containers.ports import AgentUnreachableError, CapacityError
from hakoiri.wire.base64_text import decode
from hakoiri.wire.command import CommandExit, CommandOutput
from hakoiri.wire.git_import import CloneDone, CloneFailed, CloneProgress, CloneRequest
from hakoiri.wire.messages import Message
from hakoiri.wire.policy_test import Explanation

pytestmark = pytest.mark.anyio

SSE = {"Accept": "text/event-stream"}
URL = "https://git.example.test/acme/site.git"
COMMIT = "ab" * 20


def says(served: Served, *lines: Message, end: CommandExit) -> None:
    steps: Sequence[CommandStep] = [
        (number, CommandOutput.of("stdout", line.model_dump_json().encode() + b"\n"))
        for number, line in enumerate(lines, 1)
    ]
    served.world.containers.agent.commands = [*steps, (len(lines) + 1, end)]


def whole(served: Served) -> None:
    progress = CloneProgress(stage="receiving", percent=7)
    says(served, progress, CloneDone(commit=COMMIT), end=CommandExit(code=0))


async def imported(served: Served, git: object, **headers: str) -> httpx2.Response:
    async with served.client(**headers) as client:
        path = f"/v1/workspaces/{(await served.world.workspace()).id}/import"
        return await client.post(path, json={"git": git})


async def test_the_end_is_one_document() -> None:
    served = Served()
    whole(served)
    answer = await imported(served, {"url": URL, "ref": "v1", "depth": 3, "path": "a/%25"})
    assert answer.status_code == 200
    assert answer.json() == {
        "recovery_point": answer.json()["recovery_point"],
        "path": "a/%25",
        "commit": COMMIT,
    }
    (asked,) = served.world.containers.agent.asked
    request = CloneRequest.model_validate_json(decode(asked.stdin or ""))
    assert (request.source.ref, request.source.depth) == ("v1", 3)
    assert (decode(request.target), asked.timeout_s) == (b"a/%", 900)


@pytest.mark.parametrize("kind", ["conversation", "workspace"])
async def test_events_tell_how_far_it_is_in_both_places(kind: str) -> None:
    served = Served()
    whole(served)
    async with served.client(**SSE) as client:
        place = f"/v1/workspaces/{(await served.world.workspace()).id}"
        if kind == "conversation":
            place = f"/v1/conversations/{(await served.world.conversation()).id}/workspace"
        answer = await client.post(f"{place}/import", json={"git": {"url": URL}})
    told = [(block.id, block.event, json.loads(block.data)) for block in blocks(answer.text)]
    assert told[0] == ("1", "progress", {"stage": "receiving", "percent": 7})
    assert told[1][:2] == ("2", "imported")
    assert (told[1][2]["path"], told[1][2]["commit"]) == ("site", COMMIT)
    assert len(told) == 2


@pytest.mark.parametrize(
    ("git", "why"),
    [
        ({}, "git.url"),
        ({"url": "ssh://git.example.test/a"}, "https://HOST/PATH"),
        ({"url": "https://me:secret@git.example.test/a"}, "credential proxy's own file"),
        ({"url": URL, "ref": "--upload-pack=id"}, "git.ref"),
        ({"url": URL, "depth": 0}, "git.depth"),
        ({"url": URL, "path": "../up"}, "without empty, '.' or '..'"),
        ({"url": URL, "path": "/etc"}, "relative"),
        ({"url": URL, "path": ".hakoiri-import/x"}, "never saved"),
        ({"url": URL, "path": "%2e"}, "%25"),
        ({"url": "https://git.example.test/%20"}, "path: the URL's last part"),
        ({"url": URL, "timeout_s": 7201}, "git.timeout_s"),
        ({"url": URL, "recursive": True}, "git.recursive"),
    ],
)
@pytest.mark.parametrize("accept", [{}, SSE])
async def test_what_is_not_right_is_told_by_its_field(
    git: object, why: str, accept: dict[str, str]
) -> None:
    served = Served()
    answer = await imported(served, git, **accept)
    assert (answer.status_code, problem(answer)) == (422, "invalid-request")
    assert why in answer.json()["detail"]
    assert "secret" not in answer.text
    assert served.world.containers.agent.asked == []


@pytest.mark.parametrize("accept", [{}, SSE])
async def test_what_the_policy_refuses_is_a_problem_before_anything_is_sent(
    accept: dict[str, str],
) -> None:
    served = Served()
    served.explained.refusals["POST", f"{URL}/git-upload-pack"] = Explanation(
        verdict="refused",
        code="method-not-allowed",
        reason="no rule takes POST",
        mend='add "POST" to the methods of a rule for git.example.test',
        steps=[],
    )
    answer = await imported(served, {"url": URL}, **accept)
    assert (answer.status_code, problem(answer)) == (403, "git-not-allowed")
    assert 'add "POST" to the methods' in answer.json()["detail"]


@pytest.mark.parametrize("accept", [{}, SSE])
async def test_no_place_is_a_problem_before_anything_is_sent(accept: dict[str, str]) -> None:
    served = Served()
    served.world.containers.claim_failure = CapacityError("all 2 are in use", retry_after_s=9)
    answer = await imported(served, {"url": URL}, **accept)
    assert (answer.status_code, problem(answer)) == (503, "capacity")
    assert answer.headers["retry-after"] == "9"


@pytest.mark.parametrize(
    ("failed", "status", "code"),
    [
        (CloneFailed(code="login", text="fatal: x"), 502, "git-import-failed"),
        (CloneFailed(code="no-space", text="fatal: x"), 507, "no-space"),
        (CloneFailed(code="target-in-use", text="not empty"), 409, "edit-refused"),
        (None, 504, "git-timeout"),
    ],
)
async def test_a_clone_that_failed_is_told_both_ways(
    failed: CloneFailed | None, status: int, code: str
) -> None:
    served = Served()
    if failed is None:
        says(served, end=CommandExit(signal=9, timed_out=True))
    else:
        says(served, failed, end=CommandExit(code=1))
    answer = await imported(served, {"url": URL})
    assert (answer.status_code, problem(answer)) == (status, code)
    (block,) = blocks((await imported(served, {"url": URL}, **SSE)).text)
    assert (block.event, json.loads(block.data)["code"]) == ("error", code)
    assert json.loads(block.data)["text"] == answer.json()["detail"]


async def test_a_container_that_is_lost_is_told_both_ways() -> None:
    served = Served()
    served.world.containers.agent.commands = [AgentUnreachableError("gone")]
    answer = await imported(served, {"url": URL})
    assert (answer.status_code, problem(answer)) == (503, "container-lost")
    (block,) = blocks((await imported(served, {"url": URL}, **SSE)).text)
    assert '"code": "container-lost"' in block.data


async def test_another_tenants_workspace_is_not_there() -> None:
    served = Served(require_keys=True)
    _, key = await served.keys.create_key(name="k", tenant="other")
    answer = await imported(served, {"url": URL}, Authorization=f"Bearer {key}")
    assert (answer.status_code, problem(answer)) == (404, "no-such-workspace")
    assert served.explained.asked == []
