"""A whole server on an S3 bucket: turns go on while the store is away, and saving catches up."""

import grp
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.running import Hakoiri, data_of, hakoiri
from tests.e2e.scripts import RUN
from tests.e2e.talk import Talk
from tests.engine import TestEngine
from tests.s3_server import (
    SECRET_ACCESS_KEY,
    FaultyProxy,
    S3Server,
    credentials_file,
    faulty_proxy,
    s3_server,
)
from tests.waiting import until

pytestmark = [pytest.mark.engine, pytest.mark.root]

GOES_ON = 3
"""So many calls of tools end while the store is away."""

FILES = 20
EACH = "".join(
    f"      - say: file {number}\n"
    f"        use: [{{tool: Bash, input: {{command: 'echo {number} > n{number}; sleep 1',"
    " description: one file}}]\n"
    for number in range(FILES)
)
WORK = f"  - name: work\n    when: {{ regex: '^work$' }}\n    replies:\n{EACH}      - say: done\n"
SCRIPT = RUN.replace("  - name: anything", WORK + "  - name: anything")


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="module")
def store(s3: S3Server) -> Iterator[FaultyProxy]:
    with faulty_proxy(s3) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def server(
    engine: TestEngine,
    image: str,
    s3: S3Server,
    store: FaultyProxy,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Hakoiri]:
    root = tmp_path_factory.mktemp("on-s3")
    credentials = credentials_file(root)
    os.chown(credentials, 0, grp.getgrnam("hakoiri").gr_gid)
    with hakoiri(
        root,
        docker_host=engine.docker_host,
        script=SCRIPT,
        settings={
            "HAKOIRI_CONTAINER__IMAGE": image,
            "HAKOIRI_TURN__SYNC_QUIET_S": "1",
            "HAKOIRI_TURN__SYNC_LONGEST_WAIT_S": "2",
            "HAKOIRI_OBJECT_STORE_URL": f"s3://{s3.bucket('workspaces')}/files",
            "HAKOIRI_OBJECT_STORE__ENDPOINT": store.endpoint,
            "HAKOIRI_OBJECT_STORE__CREDENTIALS_FILE": str(credentials),
            # a server drops these, and must not need them
            "AWS_ACCESS_KEY_ID": "AKIDOTHER",
            "AWS_SECRET_ACCESS_KEY": "other",
        },
    ) as running:
        yield running


def tools_ended(events: list[dict[str, Any]]) -> int:
    return sum(event["type"] == "tool_result" for event in list(events))


def test_a_turn_goes_on_while_the_store_is_away_and_nothing_is_lost(
    server: Hakoiri, store: FaultyProxy, s3: S3Server
) -> None:
    conversation = server.conversation()
    talk = Talk(server, conversation, "work")
    events = talk.events
    until(lambda: any(event["type"] == "file_synced" for event in list(events)))
    store.fail("away")
    until(lambda: any(event["type"] == "notice" for event in list(events)))
    worked = tools_ended(events)
    until(lambda: tools_ended(events) >= worked + GOES_ON)
    store.fail("none")
    talk.end()

    kinds = [event["type"] for event in events]
    assert kinds[-1] == "result"
    (notice,) = data_of(events, "notice")
    assert notice["code"] == "files-not-saved"
    assert SECRET_ACCESS_KEY not in str(events)
    told = kinds.index("notice")
    assert "tool_result" in kinds[told:]
    assert "file_synced" in kinds[told:-2], "it caught up before the turn's end"
    listing = server.api.call("GET", f"/v1/conversations/{conversation}/workspace/files")
    assert {file["path"] for file in listing["files"]} == {f"n{n}" for n in range(FILES)}
    keys = [item["Key"] for item in s3.client().list_objects_v2(Bucket="workspaces")["Contents"]]
    assert all(key.startswith("files/") for key in keys)


def test_files_come_back_from_the_bucket_into_a_new_container(server: Hakoiri) -> None:
    conversation = server.conversation()
    server.turn(conversation, "run: echo kept > kept.txt")
    for box in server.containers():
        server.docker("kill", box)
    (answer,) = data_of(server.turn(conversation, "run: cat kept.txt"), "tool_result")
    assert answer["text"].strip() == "kept"


def test_what_cannot_be_saved_at_a_stop_nor_at_the_next_start_is_saved_when_it_can_be(
    server: Hakoiri, store: FaultyProxy
) -> None:
    conversation = server.conversation()
    server.turn(conversation, "run: echo one > one.txt")
    store.fail("away")
    events = server.turn(conversation, "run: echo two > two.txt")
    assert [notice["code"] for notice in data_of(events, "notice")] == ["files-not-saved"]
    assert server.server.stop() == 0
    assert (
        server.docker("ps", "--quiet", "--filter", f"label=hakoiri.instance={server.instance}")
        == ""
    )
    (started,) = data_of(events, "turn_started")
    box = started["container"]
    assert box in server.boxes(), "the only copy went with its container"
    assert (server.tree / box / "workspace/two.txt").read_text() == "two\n"
    server.server.start()
    until(lambda: bool(server.server_log("files_not_saved")))
    store.fail("none")
    until(lambda: not server.boxes())
    (answer,) = data_of(server.turn(conversation, "run: cat one.txt two.txt"), "tool_result")
    assert answer["text"].split() == ["one", "two"]


def test_the_secret_is_in_no_log_and_no_environment(server: Hakoiri) -> None:
    assert SECRET_ACCESS_KEY not in Path(server.server.log).read_text(errors="replace")
    for pid in server.processes("hakoiri.host"):
        environment = Path(f"/proc/{pid}/environ").read_text(errors="replace")
        assert "AWS_" not in environment
        assert SECRET_ACCESS_KEY not in environment
