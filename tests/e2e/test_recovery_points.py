"""Going back to a recovery point, comparing two, and going on from one twice, in real boxes."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from tests.e2e.running import Hakoiri, data_of, hakoiri
from tests.e2e.scripts import RUN
from tests.e2e.test_failures import is_gapless
from tests.e2e.test_workspaces import COMMAND_LINE, shell, until
from tests.engine import TestEngine

from hakoiri.cli.api_client import ApiError

pytestmark = [pytest.mark.engine, pytest.mark.root]

FIRST = "run: echo one > a; echo one > only-first"
SECOND = "run: echo two > a; rm only-first; echo two > b"
LOOK = "run: cat a; ls"


@pytest.fixture(scope="module", params=["runc", "runsc"])
def server(
    request: pytest.FixtureRequest,
    engine: TestEngine,
    image: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Hakoiri]:
    with hakoiri(
        tmp_path_factory.mktemp(f"points-{request.param}"),
        docker_host=engine.docker_host,
        script=RUN,
        settings={"HAKOIRI_CONTAINER__RUNTIME": request.param, "HAKOIRI_CONTAINER__IMAGE": image},
    ) as running:
        yield running


def cli(server: Hakoiri, *arguments: str) -> str:
    url = f"http://127.0.0.1:{server.server.port}"
    return subprocess.run(
        [COMMAND_LINE, "workspace", *arguments, "--url", url],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout


def points_of(server: Hakoiri, place: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = server.api.call("GET", f"{place}/recovery-points?limit=100")[
        "recovery_points"
    ]
    return listed


def ends_of_turns(server: Hakoiri, place: str) -> dict[int, str]:
    """The points at turns' ends, by turn."""
    return {
        point["turn"]: point["id"]
        for point in points_of(server, place)
        if point["reason"] == "turn-end"
    }


def answer(events: list[dict[str, Any]]) -> str:
    text: str = data_of(events, "result")[0]["text"]
    return text


def remembered(server: Hakoiri) -> list[str]:
    """What the newest model request says that the user said."""
    texts: list[str] = server.model_requests()[-1]["user_texts"]
    return texts


def says(texts: list[str], wanted: str) -> bool:
    return any(wanted in text for text in texts)


def refusal(server: Hakoiri, path: str) -> str:
    with pytest.raises(ApiError) as refused:
        server.api.call("POST", path)
    assert refused.value.problem is not None
    assert refused.value.problem.status == 409
    return refused.value.problem.code


def test_back_to_an_older_moment_and_on_from_another_twice(server: Hakoiri) -> None:
    conversation = server.conversation()
    place = f"/v1/conversations/{conversation}/workspace"
    for text in (FIRST, SECOND):
        server.turn(conversation, text)
    first, second = (ends_of_turns(server, place)[turn] for turn in (1, 2))
    assert first in cli(server, "recovery-points", conversation)
    assert sorted(cli(server, "diff", conversation, first, second).splitlines()) == [
        "A  b",
        "D  only-first",
        "M  a",
    ]
    lines = cli(server, "diff", conversation, first, second, "--path", "a").splitlines()
    assert [line for line in lines if line[:2] in ("-o", "+t")] == ["-one", "+two"]

    shell_in(server, place, "echo unsaved > late; setsid sleep 4712 >/dev/null 2>&1 &")
    (old_box,) = boxes_with(server, "late")
    told = json.loads(cli(server, "restore", conversation, first, "-o", "json"))
    assert old_box not in server.boxes(), "the box is gone, with what ran in it"
    notice = server.log(conversation)[-1]
    assert (notice["type"], notice["data"]["code"]) == ("notice", "workspace-restored")
    assert notice["turn"] == 3

    said = answer(server.turn(conversation, LOOK))
    assert "one\na\nonly-first" in said
    assert says(remembered(server), FIRST)
    assert not says(remembered(server), SECOND)
    assert is_gapless(server, conversation)

    fork = cli(server, "fork", conversation, second).strip()
    log = server.log(fork)
    assert is_gapless(server, fork)
    assert [event["data"]["text"] for event in log if event["type"] == "user_message"] == [
        FIRST,
        SECOND,
    ]
    assert [event["type"] for event in log][-2:] == ["result", "notice"]
    said = answer(server.turn(fork, "run: cat a; ls; echo forked > a"))
    assert "two\na\nb" in said
    assert says(remembered(server), SECOND)
    assert LOOK not in remembered(server)
    assert "one\na\nonly-first" in answer(server.turn(conversation, LOOK))
    assert "forked\na\nb" in answer(server.turn(fork, LOOK))

    server.api.call("POST", f"{place}/recovery-points/{told['undo']}/restore")
    assert "two\na\nb\nlate" in answer(server.turn(conversation, LOOK))
    assert says(remembered(server), SECOND)


def shell_in(server: Hakoiri, place: str, script: str) -> str:
    argv = ["sh", "-c", script]
    ended: dict[str, Any] = server.api.call("POST", f"{place}/exec", {"argv": argv})
    assert ended["exit_code"] == 0, ended
    said: str = ended["stdout"]
    return said


def boxes_with(server: Hakoiri, name: str) -> list[str]:
    """The boxes whose workspace has the file."""
    return [box for box in server.boxes() if (server.tree / box / "workspace" / name).exists()]


def test_a_fork_of_a_workspace_goes_on_without_the_other(server: Hakoiri) -> None:
    made: str = server.api.call("POST", "/v1/workspaces", {})["id"]
    shell(server, made, "echo kept > a")
    point = cli(server, "save", made).strip()
    shell(server, made, "echo newer > a")
    fork = cli(server, "fork", made, point).strip()
    server.api.call("DELETE", f"/v1/workspaces/{made}?files=delete")
    assert shell(server, fork, "cat a") == "kept\n"


def test_a_restore_is_refused_while_somebody_works(server: Hakoiri) -> None:
    conversation = server.conversation()
    place = f"/v1/conversations/{conversation}/workspace"
    server.turn(conversation, FIRST)
    point = points_of(server, place)[0]["id"]
    restore = f"{place}/recovery-points/{point}/restore"
    server.api.call(
        "POST", f"/v1/conversations/{conversation}/messages", {"text": "run: sleep 3; echo on > on"}
    )
    assert refusal(server, restore) == "turn-running"
    until(lambda: server.log(conversation)[-1]["type"] == "result", "the turn goes on")
    assert "on" in shell_in(server, place, "ls")
    with subprocess.Popen(
        [
            *(COMMAND_LINE, "workspace", "exec", conversation),
            *("--url", f"http://127.0.0.1:{server.server.port}"),
            *("--", "sh", "-c", "echo begun; sleep 60"),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"begun\n"
        assert refusal(server, restore) == "workspace-in-use"
        running.kill()


SWAP = """
mkdir -p d && echo mine > d/f
setsid sh -c 'while :; do mv d aside; ln -s /etc d; rm d; mv aside d; done' >/dev/null 2>&1 &
"""


def test_a_box_that_swaps_directories_leads_a_restore_nowhere(server: Hakoiri) -> None:
    made: str = server.api.call("POST", "/v1/workspaces", {})["id"]
    shell(server, made, "mkdir d; echo mine > d/f")
    point = cli(server, "save", made).strip()
    for _ in range(3):
        shell(server, made, SWAP)
        told = json.loads(cli(server, "restore", made, point, "-o", "json"))
        assert shell(server, made, "ls -A; cat d/f; test ! -L d") == "d\nmine\n"
        undo = f"/v1/workspaces/{made}/recovery-points/{told['undo']}"
        difference = server.api.call("GET", f"{undo}/diff?to={point}")
        paths = {change["path"].split("/")[0] for change in difference["changes"]}
        assert paths <= {"d", "aside"}
        sizes = [
            change["before"]["size_bytes"]
            for change in difference["changes"]
            if change["before"] and change["before"]["kind"] == "file"
        ]
        assert all(size == len("mine\n") for size in sizes), "nothing of /etc is saved"


def test_a_point_is_kept_and_dropped(server: Hakoiri) -> None:
    made: str = server.api.call("POST", "/v1/workspaces", {})["id"]
    shell(server, made, "echo 1 > a")
    point = cli(server, "save", made).strip()
    shell(server, made, "echo 2 > a")
    cli(server, "save", made)
    cli(server, "keep", made, point)
    kept = {one["id"]: one["kept"] for one in points_of(server, f"/v1/workspaces/{made}")}
    assert kept[point]
    cli(server, "drop", made, point)
    assert point not in cli(server, "recovery-points", made)
