"""A turn from the message to its result, seen from every side, under both runtimes."""

import json
import subprocess
import threading
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.e2e.running import Hakoiri, data_of, hakoiri, turn_types
from tests.e2e.scripts import RUN
from tests.engine import TestEngine
from tests.waiting import until

pytestmark = [pytest.mark.engine, pytest.mark.root]


@pytest.fixture(scope="module", params=["runc", "runsc"])
def server(
    request: pytest.FixtureRequest,
    engine: TestEngine,
    image: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Hakoiri]:
    with hakoiri(
        tmp_path_factory.mktemp(request.param),
        docker_host=engine.docker_host,
        script=RUN,
        settings={"HAKOIRI_CONTAINER__RUNTIME": request.param, "HAKOIRI_CONTAINER__IMAGE": image},
    ) as running:
        yield running


@pytest.fixture(scope="module")
def conversation(server: Hakoiri) -> str:
    return server.conversation()


def output(server: Hakoiri, conversation: str, command: str) -> str:
    events = server.turn(conversation, f"run: {command}")
    assert events[-1]["type"] == "result", events[-1]
    text: str = data_of(events, "tool_result")[0]["text"]
    return text


def test_a_turn_is_gapless_ordered_and_ends_once(server: Hakoiri, conversation: str) -> None:
    before = server.api.call("GET", f"/v1/conversations/{conversation}")["last_event"]
    events = server.turn(conversation, "run: echo hello > hello.txt; cat hello.txt")
    types = turn_types(events)
    assert types[:2] == ["user_message", "turn_started"]
    assert types[-2:] == ["file_synced", "result"]
    assert types.index("tool_use") < types.index("tool_result")
    assert [event["id"] for event in events] == list(range(before + 1, before + 1 + len(events)))
    assert {event["conversation_id"] for event in events} == {conversation}
    assert data_of(events, "tool_result")[0]["text"].strip() == "hello"
    assert data_of(events, "result")[0]["text"] == "done: hello"


def test_the_log_replays_from_any_number_on(server: Hakoiri, conversation: str) -> None:
    whole = server.log(conversation)
    assert [event["id"] for event in whole] == list(range(1, len(whole) + 1))
    middle = len(whole) // 2
    replayed = []
    for event in server.api.follow(conversation, after=middle):
        replayed.append(event)
        if event["id"] == whole[-1]["id"]:
            break
    assert replayed == whole[middle:]


def test_curl_streams_a_turn_as_server_sent_events(server: Hakoiri, conversation: str) -> None:
    url = f"http://127.0.0.1:{server.server.port}/v1/conversations/{conversation}/messages"
    said = subprocess.run(
        [
            *("curl", "--no-buffer", "--silent", "--show-error", "--max-time", "120"),
            *("--header", "Accept: text/event-stream"),
            *("--header", "Content-Type: application/json"),
            *("--data", '{"text": "run: echo from curl"}', url),
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    blocks = [block.split("\n") for block in said.strip().split("\n\n")]
    for lines in (lines for lines in blocks if not lines[0].startswith(":")):
        names = [line.partition(": ")[0] for line in lines]
        assert names == ["id", "event", "data"]
        data = json.loads(lines[2].removeprefix("data: "))
        assert lines[0] == f"id: {data['id']}"
        assert lines[1] == f"event: {data['type']}"
        assert set(data) == {"id", "type", "time", "conversation_id", "turn", "data"}
    assert blocks[-1][1] == "event: result"


def test_the_engine_shows_the_hardening_of_the_live_container(
    server: Hakoiri, conversation: str
) -> None:
    server.turn(conversation, "hello")
    (container,) = server.containers()
    inspected = server.inspect(container)
    host = inspected["HostConfig"]
    assert host["NetworkMode"] == "none"
    assert host["ReadonlyRootfs"] is True
    assert host["Privileged"] is False
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert host["PidsLimit"] == 512
    assert host["Memory"] == host["MemorySwap"] == 2048 * 2**20
    assert host["IpcMode"] == "private"
    assert host["Init"] is True
    assert inspected["Config"]["User"] == "1000:1000"
    assert inspected["Config"]["Labels"]["hakoiri.instance"] == server.instance
    sources = {mount["Source"] for mount in inspected["Mounts"]}
    assert not any("docker.sock" in source for source in sources)
    assert {m["Destination"]: m["RW"] for m in inspected["Mounts"]} == {
        "/workspace": True,
        "/home/agent": True,
        "/run/hakoiri/agent": True,
        "/run/hakoiri/proxy": False,
    }


@pytest.mark.parametrize(
    ("attempt", "seen"),
    [
        ("tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '", "lo"),
        ("id -u", "1000"),
        ("grep -c 'CapEff:.0000000000000000' /proc/self/status", "1"),
        ("touch /etc/x 2>/dev/null || echo refused", "refused"),
        ("ls /var/run/docker.sock 2>/dev/null || echo none", "none"),
        ("ln -s /etc /run/hakoiri/proxy/x 2>/dev/null || echo refused", "refused"),
        ("rm -f /run/hakoiri/proxy/proxy.sock 2>/dev/null || echo refused", "refused"),
        ("head -c 100000 /dev/zero > /run/hakoiri/agent/fill 2>/dev/null || echo full", "full"),
        (
            "curl -s --noproxy '*' --max-time 3 http://169.254.169.254/ || echo unreachable",
            "unreachable",
        ),
        ("curl -s -o /dev/null -w '%{http_code}' http://outside.example.test/", "403"),
        (
            "curl -s -o /dev/null -w '%{http_connect}' https://outside.example.test/ || true",
            "403",
        ),
    ],
)
def test_from_inside_nothing_is_open(
    server: Hakoiri, conversation: str, attempt: str, seen: str
) -> None:
    assert output(server, conversation, attempt).strip() == seen


def test_what_the_agent_wrote_is_downloaded_as_an_attachment(
    server: Hakoiri, conversation: str
) -> None:
    output(server, conversation, "printf '<script>' > page.html; mkdir -p a && echo 1 > a/b.txt")
    base = f"/v1/conversations/{conversation}/workspace/files"
    listed = {entry["path"]: entry for entry in server.api.call("GET", base)["files"]}
    assert listed["page.html"]["size_bytes"] == 8
    assert listed["a"]["kind"] == "directory"
    assert server.api.download(f"{base}/a/b.txt") == b"1\n"
    head = subprocess.run(
        ["curl", "-sSi", f"http://127.0.0.1:{server.server.port}{base}/page.html"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.lower()
    assert "content-type: application/octet-stream" in head
    assert "content-disposition: attachment" in head
    assert "x-content-type-options: nosniff" in head
    assert "content-security-policy: sandbox" in head


def test_every_model_request_arrived_signed_by_the_proxy(
    server: Hakoiri, conversation: str
) -> None:
    server.turn(conversation, "hello")
    requests = [one for one in server.model_requests() if one["provider"] == "bedrock"]
    assert requests
    assert {one["verdict"] for one in requests} == {"valid"}


def test_the_figures_of_server_and_proxy_are_one_page(server: Hakoiri, conversation: str) -> None:
    assert server.turn(conversation, "hello")[-1]["type"] == "result"
    url = f"http://127.0.0.1:{server.server.port}/metrics"
    page = subprocess.run(["curl", "-sf", url], capture_output=True, text=True, check=True).stdout
    figures = {
        sample.name: sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.labels in ({}, {"result": "result"}, {"rule": "model:bedrock"})
    }
    assert figures["hakoiri_turns_total"] >= 1
    assert figures["hakoiri_containers_live"] >= 1
    assert figures["hakoiri_server_proxy_up"] == 1
    assert figures["hakoiri_proxy_request_seconds_count"] >= 1
    assert figures["process_resident_memory_bytes"] > 0
    assert figures["hakoiri_proxy_process_resident_memory_bytes"] > 0


def test_two_conversations_at_once_have_a_container_each_and_do_not_mix(
    server: Hakoiri,
) -> None:
    pair = [server.conversation(), server.conversation()]
    seen: dict[str, str] = {}

    def talk(conversation: str) -> None:
        seen[conversation] = output(server, conversation, f"echo {conversation} > f; cat f; ls")

    threads = [threading.Thread(target=talk, args=(one,)) for one in pair]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {one: seen[one].split() for one in pair} == {one: [one, "f"] for one in pair}
    for one in pair:
        server.api.call("DELETE", f"/v1/conversations/{one}")
    until(lambda: len(server.containers()) <= 1)


def test_the_decision_log_has_one_line_for_each_request_and_no_secret(
    server: Hakoiri, conversation: str
) -> None:
    output(server, conversation, "curl -s -o /dev/null http://once.example.test/a?b=c")

    def decided() -> list[dict[str, str]]:
        return [
            json.loads(line)
            for line in server.log_lines()
            if '"proxy_request_' in line and "once.example.test" in line
        ]

    lines = until(decided)
    assert [line["event"] for line in lines] == ["proxy_request_blocked"]
    assert lines[0]["reason"]
    assert lines[0]["workspace"]
