"""What is another tenant's is not there; and a server without keys speaks to this machine alone."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.running import Hakoiri, data_of, hakoiri
from tests.e2e.scripts import RUN
from tests.engine import TestEngine
from tests.waiting import until

from hakoiri.cli.api_client import ApiClient

pytestmark = [pytest.mark.engine, pytest.mark.root]

MISSING = "c-" + 32 * "0"
MODEL = "anthropic.claude-rehearsal-v1:0"
FILES = "/workspace/files"
POINT = "rp-" + 32 * "0"
OPERATIONS = [
    ("GET", "", None),
    ("DELETE", "", None),
    ("GET", "/events", None),
    ("GET", "/events?after=1", None),
    ("POST", "/messages", {"text": "run: echo taken over"}),
    ("POST", "/interrupt", None),
    ("GET", FILES, None),
    ("GET", f"{FILES}/note.txt", None),
    ("GET", "/workspace/recovery-points", None),
    ("POST", f"/workspace/recovery-points/{POINT}/restore", None),
    ("POST", "/workspace/fork", {}),
]
"""All that is done with one conversation: method, path below it, body."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer; `headers` without those that tell the time."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def ask(  # what a stranger can choose
    server: Hakoiri,
    method: str,
    path: str,
    *,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Send one request as it is given and read the whole answer."""
    sent = dict(headers or {})
    data = None
    if body is not None:
        data = json.dumps(body)
        sent["Content-Type"] = "application/json"
    with closing(HTTPConnection("127.0.0.1", server.server.port, timeout=60)) as connection:
        connection.request(method, path, body=data, headers=sent)
        answer = connection.getresponse()
        kept = {name.lower(): value for name, value in answer.getheaders()}
        kept.pop("date", None)
        return Answer(answer.status, kept, answer.read())


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def key_command(root: Path, *arguments: str, database: str | None = None) -> Any:
    """`hakoiri key`, on the data of a server, or on a database of several."""
    said = subprocess.run(
        [sys.executable, "-P", "-m", "hakoiri.cli", "key", *arguments, "--json"],
        env={
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HAKOIRI_DATA_DIR": str(root / "data"),
            "HAKOIRI_AUDIT__DIR": str(root / "audit"),
            **({} if database is None else {"HAKOIRI_DATABASE_URL": database}),
        },
        cwd="/",
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return json.loads(said)


@dataclass(frozen=True, slots=True)
class Town:
    """A server with two tenants; `conversation` is the shop's, with a file, a turn behind it."""

    server: Hakoiri
    shop: str
    bank: str
    conversation: str

    @property
    def shop_api(self) -> ApiClient:
        return self.server.api

    def shown(self) -> Any:
        return self.shop_api.call("GET", f"/v1/conversations/{self.conversation}")


@pytest.fixture(scope="module")
def town(
    engine: TestEngine, image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Town]:
    root = tmp_path_factory.mktemp("town")
    shop = key_command(root, "create", "the shop's", "--tenant", "shop")["key"]
    bank = key_command(root, "create", "the bank's", "--tenant", "bank")["key"]
    with hakoiri(
        root,
        docker_host=engine.docker_host,
        script=RUN,
        settings={"HAKOIRI_CONTAINER__IMAGE": image},
        key=shop,
    ) as running:
        conversation = running.conversation()
        last = running.turn(conversation, "run: echo private > note.txt")[-1]
        assert last["type"] == "result"
        yield Town(running, shop, bank, conversation)


@pytest.fixture(scope="module")
def open_server(
    engine: TestEngine, image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hakoiri]:
    """A server without keys."""
    with hakoiri(
        tmp_path_factory.mktemp("open"),
        docker_host=engine.docker_host,
        script=RUN,
        settings={"HAKOIRI_CONTAINER__IMAGE": image},
    ) as running:
        yield running


@pytest.mark.parametrize(("method", "below", "body"), OPERATIONS)
def test_without_a_valid_key_every_request_is_a_401(
    town: Town, method: str, below: str, body: Any
) -> None:
    path = f"/v1/conversations/{town.conversation}{below}"
    wrong = town.shop[:-1] + ("0" if town.shop[-1] != "0" else "1")
    for headers in (
        {},
        bearer(wrong),
        bearer(""),
        {"Authorization": f"Basic {town.shop}"},
        {"Authorization": town.shop},
    ):
        answer = ask(town.server, method, path, body=body, headers=headers)
        assert answer.status == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.headers["content-type"] == "application/problem+json"
        assert json.loads(answer.body)["type"] == "urn:hakoiri:problem:unauthorised"
        assert town.conversation.encode() not in answer.body


@pytest.mark.parametrize(("method", "below", "body"), OPERATIONS)
@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
def test_another_tenants_conversation_answers_like_a_missing_one(
    town: Town, method: str, below: str, body: Any, accept: str
) -> None:
    before = town.shown()
    headers = bearer(town.bank) | {"Accept": accept}
    foreign, missing = (
        ask(town.server, method, f"/v1/conversations/{one}{below}", body=body, headers=headers)
        for one in (town.conversation, MISSING)
    )
    assert foreign.status == 404
    assert json.loads(foreign.body)["type"] == "urn:hakoiri:problem:no-such-conversation"
    assert foreign == missing
    assert town.shown() == before


def test_lists_show_a_tenant_its_own_and_nothing_else(town: Town) -> None:
    bank_api = ApiClient(f"http://127.0.0.1:{town.server.server.port}", key=town.bank)
    own = bank_api.call("POST", "/v1/conversations", {})["id"]
    listed = bank_api.call("GET", "/v1/conversations")["conversations"]
    assert [one["id"] for one in listed] == [own]
    foreign, missing = (
        ask(town.server, "GET", f"/v1/conversations?before={one}", headers=bearer(town.bank))
        for one in (town.conversation, MISSING)
    )
    assert foreign == missing
    shops = town.shop_api.call("GET", "/v1/conversations")["conversations"]
    assert own not in [one["id"] for one in shops]
    assert [key["name"] for key in bank_api.call("GET", "/v1/keys")["keys"]] == ["the bank's"]


def test_another_tenants_key_cannot_be_revoked(town: Town) -> None:
    (shops,) = town.shop_api.call("GET", "/v1/keys")["keys"]
    foreign, missing = (
        ask(town.server, "DELETE", f"/v1/keys/{one}", headers=bearer(town.bank))
        for one in (shops["id"], "0" * 16)
    )
    assert foreign.status == 404
    assert foreign == missing
    assert town.shown()["id"] == town.conversation


def test_the_owner_has_all_of_it(town: Town) -> None:
    base = f"/v1/conversations/{town.conversation}"
    assert town.shown()["turn"] >= 1
    assert town.shop_api.download(f"{base}{FILES}/note.txt") == b"private\n"
    assert town.server.log(town.conversation)[0]["type"] == "user_message"
    again = town.server.turn(town.conversation, "run: cat note.txt")
    assert data_of(again, "tool_result")[0]["text"].strip() == "private"


def test_a_revoked_key_opens_nothing_from_then_on(town: Town) -> None:
    made = town.shop_api.call("POST", "/v1/keys", {"name": "for a while"})
    path = f"/v1/conversations/{town.conversation}"
    assert ask(town.server, "GET", path, headers=bearer(made["key"])).status == 200
    town.shop_api.call("DELETE", f"/v1/keys/{made['id']}")
    assert ask(town.server, "GET", path, headers=bearer(made["key"])).status == 401


def test_the_data_holds_no_key_in_plain_text(town: Town) -> None:
    for file in town.server.data_dir.glob("hakoiri.sqlite*"):
        raw = file.read_bytes()
        for key in (town.shop, town.bank):
            assert key.rpartition("_")[2].encode() not in raw
    log = town.server.server.log.read_text()
    assert town.shop not in log
    assert town.bank not in log


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Host": "rebound.example.test"}, "host-refused"),
        ({"Host": "127.0.0.1.example.test"}, "host-refused"),
        ({"Host": "localhost@example.test"}, "host-refused"),
        ({"Origin": "https://example.test"}, "origin-refused"),
        ({"Origin": "http://localhost.example.test"}, "origin-refused"),
        ({"Origin": "null"}, "origin-refused"),
    ],
)
def test_a_server_without_keys_refuses_strangers_hosts_and_origins(
    open_server: Hakoiri, headers: Mapping[str, str], code: str
) -> None:
    before = open_server.api.call("GET", "/v1/conversations")
    answer = ask(open_server, "POST", "/v1/conversations", body={}, headers=headers)
    assert answer.status == 403
    assert json.loads(answer.body)["type"] == f"urn:hakoiri:problem:{code}"
    assert open_server.api.call("GET", "/v1/conversations") == before


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST:8420"])
def test_a_server_without_keys_answers_to_loopbacks_names(open_server: Hakoiri, host: str) -> None:
    assert ask(open_server, "GET", "/v1/conversations", headers={"Host": host}).status == 200


def test_a_chat_is_answered_through_the_proxy_and_has_no_container(open_server: Hakoiri) -> None:
    conversation = open_server.conversation(kind="chat", model=MODEL)
    for turn in (1, 2):
        before = len(open_server.model_requests())
        events = open_server.turn(conversation, f"hello for the {turn}. time")
        assert events[-1]["type"] == "result", events[-1]
        said = "".join(data["text"] for data in data_of(events, "text_delta"))
        assert said == events[-1]["data"]["text"]
        (request,) = open_server.model_requests()[before:]
        assert request["provider"] == "bedrock"
        assert request["verdict"] == "valid"
        assert request["model"] == MODEL
        assert request["user_text"] == f"hello for the {turn}. time"
    assert open_server.containers() == []
    assert open_server.boxes() == []
    left = [path.name for path in (open_server.run_dir / "proxy").iterdir()]
    assert sorted(left) == ["ca.pem", "control.sock"]

    def decided() -> list[dict[str, Any]]:
        return [json.loads(line) for line in open_server.log_lines() if '"proxy_request_' in line]

    until(lambda: len(decided()) >= 2)
    decisions = decided()
    assert [one["workspace"] for one in decisions] == [conversation, conversation]


def test_a_chat_has_no_files(open_server: Hakoiri) -> None:
    conversation = open_server.conversation(kind="chat", model=MODEL)
    base = f"/v1/conversations/{conversation}{FILES}"
    assert ask(open_server, "GET", base).status == 404
    assert ask(open_server, "GET", f"{base}/note.txt").status == 404
