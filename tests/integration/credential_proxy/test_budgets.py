import asyncio
import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from hakoiri.credential_proxy.budgets.meter import COUNTED_AT_BYTES

from .conftest import (
    READY_TIMEOUT_S,
    Proxy,
    Upstream,
    absolute,
    anthropic_policy,
    bedrock_policy,
    converse,
    host_policy,
    make_proxy,
    proxy_file,
    statuses,
)
from .connections import opened
from .model_upstream import ANTHROPIC, CONVERSE, INVOKE, MODEL, ModelUpstream, running_model

pytestmark = pytest.mark.anyio
FILES = "files.example.test"
PRICES = f"""
[prices."*.claude-test-*"]
input = 1.0
output = 2.0
cache_write = 3.0
cache_read = 0.5
[prices."{MODEL}x"]
input = 0
output = 0
cache_write = 0
cache_read = 0
"""
MOST_READ_AT_ONCE_BYTES = 256_000
"""The size of uvloop's buffer for a stream, UV_STREAM_RECV_BUF_SIZE: a piece is never larger."""

TOTAL = 10 + 20 + 30 + 40
COST = 10 * 1 + 20 * 2 + 30 * 3 + 40 // 2
WAYS: list[tuple[str, dict[str, Any]]] = [
    (ANTHROPIC, {"model": MODEL, "max_tokens": 50}),
    (ANTHROPIC, {"model": MODEL, "max_tokens": 50, "stream": True}),
    (INVOKE, {"max_tokens": 50}),
    (INVOKE + "-with-response-stream", {"max_tokens": 50}),
    (CONVERSE, {"inferenceConfig": {"maxTokens": 50}}),
    (CONVERSE + "-stream", {"inferenceConfig": {"maxTokens": 50}}),
]
STREAM = WAYS[1]


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def message(self) -> str:
        said: str = json.loads(self.body)["error"]["message"]
        return said


@dataclass
class Budgeted:
    """A proxy process with budgets, before a model."""

    proxy: Proxy
    model: ModelUpstream
    extra_ports: list[int] = field(default_factory=list)
    reading: "asyncio.Task[None] | None" = None

    async def start(self, budgets: str = "") -> None:
        self.configure(budgets)
        await self.proxy.start()

    def configure(self, budgets: str) -> None:
        ports = tuple(self.extra_ports)
        text = proxy_file(upstream_port=self.model.port, extra_ports=ports)
        self.proxy.file.write_text(text.replace("[network]", f"{budgets}{PRICES}[network]"))
        self.proxy.file.chmod(0o600)

    async def reload(self, budgets: str) -> None:
        self.configure(budgets)
        assert (await self.proxy.control("POST", "/reload"))[0] == 200

    async def open(
        self, container: str, policy: dict[str, Any], *, workspace: str = "w", tenant: str = "t"
    ) -> Path:
        socket = await self.proxy.open(container)
        bound = await self.proxy.bind(container, policy, workspace=workspace, tenant=tenant)
        assert bound[0] == 204, bound
        return socket

    async def call(self, socket: Path, path: str, body: object) -> Answer:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with self.proxy.client(socket) as session, session.post(path, data=data) as answer:
            return Answer(answer.status, dict(answer.headers), await answer.read())

    async def used(self, kind: str = "workspace", **named: str) -> dict[str, Any]:
        status, told = await self.proxy.control("GET", "/budgets")
        assert status == 200
        wanted = {"kind": kind, **named}.items()
        found: list[dict[str, Any]] = [use for use in told["holders"] if wanted <= use.items()]
        assert len(found) == 1, told
        return found[0]

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(READY_TIMEOUT_S):
            while not await condition():  # noqa: ASYNC110 - a process has no event to await
                await asyncio.sleep(0.01)

    async def until_written(self, earlier_bytes: int) -> None:
        """Wait until the ledger's file has grown: the file itself is locked by the proxy."""

        async def has_grown() -> bool:
            return self.written_bytes() > earlier_bytes

        await self.until(has_grown)

    def written_bytes(self) -> int:
        return (self.proxy.directory / "state" / "budgets.sqlite3-wal").stat().st_size


@pytest.fixture
async def budgeted(tmp_path: Path) -> AsyncIterator[Budgeted]:
    async with running_model() as model:
        proxy = make_proxy(tmp_path, Upstream(port=model.port))
        yield Budgeted(proxy, model)
        model.hold.set()
        await proxy.end()


def policy_for(path: str, **more: Any) -> dict[str, Any]:
    return {**(anthropic_policy() if path == ANTHROPIC else bedrock_policy()), **more}


@pytest.mark.parametrize(("path", "body"), WAYS)
async def test_what_a_call_took_is_charged_to_all_three_and_logged(
    budgeted: Budgeted, path: str, body: dict[str, Any]
) -> None:
    await budgeted.start("[budgets.workspace]\nmodel_tokens_per_day = 1000\n")
    socket = await budgeted.open("c1", policy_for(path))
    answer = await budgeted.call(socket, path, body)
    assert answer.status == 200
    for kind in ("workspace", "tenant", "installation"):
        use = await budgeted.used(kind)
        assert (use["model_tokens"], use["model_tokens_reserved"]) == (TOTAL, 0)
        assert (use["spend_microusd"], use["month_spend_microusd"]) == (COST, COST)
        assert use["requests"] == 1
        assert use["bytes_up"] == len(json.dumps(body))
        assert use["bytes_down"] == len(answer.body)
        assert (use["open_requests"], use["open_tunnels"]) == (0, 0)
    await budgeted.proxy.stop()
    await budgeted.proxy.read_log()
    [line] = budgeted.proxy.all_lines
    told = ("input_tokens", "output_tokens", "cache_write_tokens", "cache_read_tokens")
    assert [line[name] for name in told] == [10, 20, 30, 40]
    assert (line["spend_microusd"], line["usage_told"]) == (COST, True)


@pytest.mark.parametrize(("path", "body"), WAYS)
async def test_a_call_over_the_budget_is_refused_in_words_and_never_sent(
    budgeted: Budgeted, path: str, body: dict[str, Any]
) -> None:
    limit = 50 + len(json.dumps(body)) + TOTAL - 1
    await budgeted.start(f"[budgets.workspace]\nmodel_tokens_per_day = {limit}\n")
    socket = await budgeted.open("c1", policy_for(path))
    assert (await budgeted.call(socket, path, body)).status == 200
    refused = await budgeted.call(socket, path, body)
    assert refused.status == 429
    assert refused.headers["x-hakoiri-reason"] == "over-budget"
    assert refused.headers["x-should-retry"] == "false"
    assert 1 <= int(refused.headers["Retry-After"]) <= 3600
    assert json.loads(refused.body)["error"]["type"] == "rate_limit_error"
    asked = 50 + len(json.dumps(body))
    assert "the workspace w is over its budget model_tokens_per_day" in refused.message
    assert f"the limit is {limit}, {TOTAL} are used or reserved" in refused.message
    assert f"may need {asked} more; it begins anew at 2" in refused.message
    assert len(budgeted.model.calls) == 1
    other = await budgeted.open("c2", policy_for(path), workspace="w2")
    assert (await budgeted.call(other, path, body)).status == 200


async def test_calls_at_once_never_hold_more_than_the_budget(budgeted: Budgeted) -> None:
    path, body = STREAM
    asked = 50 + len(json.dumps(body))
    await budgeted.start(f"[budgets.tenant]\nmodel_tokens_per_day = {3 * asked}\n")
    budgeted.model.hold.clear()
    sockets = [await budgeted.open(f"c{n}", policy_for(path), workspace=f"w{n}") for n in range(2)]
    calls = [asyncio.Task(budgeted.call(sockets[n % 2], path, body)) for n in range(8)]

    async def are_decided() -> bool:
        return sum(call.done() for call in calls) == 5 and len(budgeted.model.calls) == 3

    await budgeted.until(are_decided)
    assert (await budgeted.used("tenant"))["model_tokens_reserved"] == 3 * asked
    budgeted.model.hold.set()
    answered = sorted(answer.status for answer in await asyncio.gather(*calls))
    assert answered == [200] * 3 + [429] * 5
    use = await budgeted.used("tenant")
    assert (use["model_tokens"], use["model_tokens_reserved"]) == (3 * TOTAL, 0)


async def test_a_client_that_cuts_its_streams_gets_nothing_for_free(budgeted: Budgeted) -> None:
    path, body = STREAM
    await budgeted.start("[budgets.workspace]\nmodel_tokens_per_day = 1000000\n")
    socket = await budgeted.open("c1", policy_for(path))
    budgeted.model.hold.clear()
    async with budgeted.proxy.client(socket) as session:
        answer = await session.post(path, json=body)
        await answer.content.readany()
        answer.close()

    async def is_settled() -> bool:
        return bool((await budgeted.used())["open_requests"] == 0)

    await budgeted.until(is_settled)
    use = await budgeted.used()
    # the input as told, and more output than the one token that was told, at most what was asked
    assert 10 + 30 + 40 + 1 < use["model_tokens"] <= 10 + 30 + 40 + 50
    assert use["spend_microusd"] > 10 + 30 * 3 + 20
    assert (use["model_tokens_reserved"], use["untold_calls"]) == (0, 1)
    await budgeted.proxy.stop()
    await budgeted.proxy.read_log()
    assert budgeted.proxy.all_lines[0]["usage_told"] is False


@pytest.mark.parametrize("path", [ANTHROPIC, INVOKE + "-with-response-stream"])
async def test_an_answer_whose_usage_cannot_be_read_is_charged_all_the_same(
    budgeted: Budgeted, path: str
) -> None:
    body = {"max_tokens": 50, "stream": True, "model": MODEL}
    await budgeted.start("[budgets.workspace]\nmodel_tokens_per_day = 1000000\n")
    budgeted.model.usage_in_events = False
    socket = await budgeted.open("c1", policy_for(path))
    assert (await budgeted.call(socket, path, body)).status == 200
    assert (await budgeted.used())["model_tokens"] == len(json.dumps(body)) + 50


async def test_a_stream_that_the_model_breaks_off_is_charged_too(budgeted: Budgeted) -> None:
    path, body = STREAM
    await budgeted.start("[budgets.workspace]\nmodel_tokens_per_day = 1000000\n")
    budgeted.model.cut = True
    socket = await budgeted.open("c1", policy_for(path))
    with pytest.raises(aiohttp.ClientError):
        await budgeted.call(socket, path, body)
    assert 80 < (await budgeted.used())["model_tokens"] <= 130


async def test_a_call_that_the_model_refuses_costs_nothing(budgeted: Budgeted) -> None:
    path, body = STREAM
    await budgeted.start("[budgets.workspace]\nmodel_tokens_per_day = 1000000\n")
    budgeted.model.status = 529
    socket = await budgeted.open("c1", policy_for(path))
    assert (await budgeted.call(socket, path, body)).status == 529
    use = await budgeted.used()
    assert (use["model_tokens"], use["model_tokens_reserved"], use["requests"]) == (0, 0, 1)


async def test_counting_tokens_costs_a_request_and_no_tokens(budgeted: Budgeted) -> None:
    await budgeted.start("[budgets.workspace]\nmodel_tokens_per_day = 0\n")
    socket = await budgeted.open("c1", anthropic_policy())
    counted = await budgeted.call(socket, "/v1/messages/count_tokens", {"model": MODEL})
    assert counted.status == 200
    use = await budgeted.used()
    assert (use["model_tokens"], use["requests"]) == (0, 1)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"model": "nobody-priced", "max_tokens": 5}, 400, "model-without-price"),
        ({"model": MODEL}, 400, "max-tokens-missing"),
        ({"model": MODEL, "max_tokens": 1e3}, 400, "bad-body"),
        (f'{{"model": "{MODEL}", "max_tokens": 1, "max_tokens": 9}}'.encode(), 400, "bad-body"),
        (f'{{"model": "{MODEL}", "max_tokens": 1, "Max_Tokens": 9}}'.encode(), 400, "bad-body"),
        (b"", 400, "bad-body"),
        ({"model": MODEL, "max_tokens": 10**6}, 429, "over-budget"),
    ],
)
async def test_what_cannot_be_reckoned_is_not_sent_under_a_budget(
    budgeted: Budgeted, body: object, status: int, code: str
) -> None:
    await budgeted.start("[budgets.workspace]\nspend_usd_per_day = 0.01\n")
    socket = await budgeted.open("c1", anthropic_policy())
    refused = await budgeted.call(socket, ANTHROPIC, body)
    assert (refused.status, refused.headers["x-hakoiri-reason"]) == (status, code)
    assert not budgeted.model.calls
    assert (await budgeted.used())["spend_microusd_reserved"] == 0


async def test_a_default_is_reserved_where_the_body_names_no_most(budgeted: Budgeted) -> None:
    await budgeted.start(
        "[budgets]\ndefault_max_tokens = 900\n[budgets.workspace]\nmodel_tokens_per_day = 1000\n"
    )
    socket = await budgeted.open("c1", anthropic_policy())
    assert (await budgeted.call(socket, ANTHROPIC, {"model": MODEL})).status == 200
    refused = await budgeted.call(socket, ANTHROPIC, {"model": MODEL})
    assert refused.status == 429


async def test_the_month_s_spend_is_a_budget_of_its_own(budgeted: Budgeted) -> None:
    path, body = WAYS[0]
    await budgeted.start("[budgets.tenant]\nspend_usd_per_month = 0.0004\n")
    socket = await budgeted.open("c1", policy_for(path))
    assert (await budgeted.call(socket, path, body)).status == 200
    refused = await budgeted.call(socket, path, body)
    assert "the tenant t is over its budget spend_usd_per_month: the limit is 0.0004" in (
        refused.message
    )
    assert "-01T00:00:00Z" in refused.message


async def test_what_the_installation_uses_is_not_told_to_a_container(budgeted: Budgeted) -> None:
    path, body = WAYS[0]
    await budgeted.start("[budgets.installation]\nmodel_tokens_per_day = 3\n")
    socket = await budgeted.open("c1", policy_for(path))
    refused = await budgeted.call(socket, path, body)
    assert refused.status == 429
    assert "the installation is over its budget model_tokens_per_day; it begins" in refused.message


async def test_a_policy_makes_a_budget_tighter_and_never_wider(budgeted: Budgeted) -> None:
    path, body = WAYS[0]
    await budgeted.start("[budgets.workspace]\nmodel_tokens_per_day = 300\n")
    wide = {"model_tokens_per_day": 10**9}
    wider = await budgeted.open("c1", policy_for(path, budget=wide), workspace="a")
    assert (await budgeted.call(wider, path, body)).status == 200
    assert (await budgeted.call(wider, path, {**body, "max_tokens": 200})).status == 429
    tight = {"model_tokens_per_day": 100}
    tighter = await budgeted.open("c2", policy_for(path, budget=tight), workspace="b")
    assert (await budgeted.call(tighter, path, body)).status == 429


async def test_a_tenant_s_own_figures_stand_for_the_common_ones(budgeted: Budgeted) -> None:
    path, body = WAYS[0]
    await budgeted.start(
        "[budgets.tenant]\nmodel_tokens_per_day = 1\n"
        "[budgets.tenants.big]\nmodel_tokens_per_day = 1000\n"
    )
    for tenant, status in (("big", 200), ("small", 429)):
        socket = await budgeted.open(f"c-{tenant}", policy_for(path), tenant=tenant)
        assert (await budgeted.call(socket, path, body)).status == status


async def test_a_reload_changes_what_may_be_used_and_not_what_was(budgeted: Budgeted) -> None:
    path, body = WAYS[0]
    await budgeted.start("[budgets.workspace]\nmodel_tokens_per_day = 10\n")
    socket = await budgeted.open("c1", policy_for(path))
    assert (await budgeted.call(socket, path, body)).status == 429
    await budgeted.reload("[budgets.workspace]\nmodel_tokens_per_day = 1000\n")
    assert (await budgeted.call(socket, path, body)).status == 200
    await budgeted.reload(f"[budgets.workspace]\nmodel_tokens_per_day = {TOTAL}\n")
    assert (await budgeted.call(socket, path, body)).status == 429
    assert (await budgeted.used())["model_tokens"] == TOTAL


async def test_what_was_used_and_reserved_outlives_a_proxy_that_is_killed(
    budgeted: Budgeted,
) -> None:
    path, body = STREAM
    asked = 50 + len(json.dumps(body))
    budget = f"[budgets.workspace]\nmodel_tokens_per_day = {TOTAL + 2 * asked - 1}\n"
    await budgeted.start(budget)
    socket = await budgeted.open("c1", policy_for(path))
    assert (await budgeted.call(socket, path, body)).status == 200
    budgeted.model.hold.clear()
    open_call = asyncio.Task(budgeted.call(socket, path, body))

    async def is_open() -> bool:
        return len(budgeted.model.calls) == 2

    await budgeted.until(is_open)
    await budgeted.until_written(budgeted.written_bytes())
    await budgeted.proxy.stop(signal.SIGKILL)
    with pytest.raises(aiohttp.ClientError):
        await open_call
    await budgeted.start(budget)
    use = await budgeted.used()
    assert (use["model_tokens"], use["model_tokens_reserved"]) == (TOTAL + asked, 0)
    again = await budgeted.open("c1", policy_for(path))
    assert (await budgeted.call(again, path, body)).status == 429


async def test_an_orderly_end_loses_nothing(budgeted: Budgeted) -> None:
    path, body = WAYS[0]
    await budgeted.start()
    socket = await budgeted.open("c1", policy_for(path))
    assert (await budgeted.call(socket, path, body)).status == 200
    assert await budgeted.proxy.stop() == 0
    await budgeted.start()
    use = await budgeted.used()
    assert (use["model_tokens"], use["spend_microusd"], use["requests"]) == (TOTAL, COST, 1)


async def test_a_ledger_that_cannot_be_read_keeps_the_proxy_from_starting(
    budgeted: Budgeted,
) -> None:
    state = budgeted.proxy.directory / "state"
    state.mkdir(mode=0o700)
    (state / "budgets.sqlite3").write_bytes(b"no ledger at all" * 100)
    with pytest.raises(AssertionError, match="the proxy ended"):
        await budgeted.start()
    assert budgeted.proxy.process is not None
    assert budgeted.proxy.process.returncode == 2


async def test_requests_too_close_together_may_come_again_in_a_moment(budgeted: Budgeted) -> None:
    await budgeted.start("[budgets.workspace]\nrequests_per_s = 0.01\nrequests_burst = 2\n")
    sockets = [await budgeted.open(f"c{n}", anthropic_policy()) for n in range(2)]
    counts = "/v1/messages/count_tokens"
    assert [(await budgeted.call(s, counts, {})).status for s in sockets] == [200, 200]
    refused = await budgeted.call(sockets[0], counts, {})
    assert refused.status == 429
    assert "requests_per_s: the limit is 0.01" in refused.message
    assert "x-should-retry" not in refused.headers
    assert int(refused.headers["Retry-After"]) == 30


async def test_open_requests_are_counted_over_all_sockets_of_a_workspace(
    budgeted: Budgeted,
) -> None:
    path, body = STREAM
    await budgeted.start("[budgets.workspace]\nconcurrent_requests = 1\n")
    sockets = [await budgeted.open(f"c{n}", policy_for(path)) for n in range(2)]
    budgeted.model.hold.clear()
    first = asyncio.Task(budgeted.call(sockets[0], path, body))

    async def is_open() -> bool:
        return len(budgeted.model.calls) == 1

    await budgeted.until(is_open)
    refused = await budgeted.call(sockets[1], path, body)
    assert refused.status == 429
    assert "concurrent_requests: the limit is 1; try again in a moment" in refused.message
    assert "x-should-retry" not in refused.headers
    budgeted.model.hold.set()
    assert (await first).status == 200
    assert (await budgeted.call(sockets[1], path, body)).status == 200


async def test_tunnels_and_their_bytes_are_counted(budgeted: Budgeted) -> None:
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):  # cut with bytes on their way, it is reset
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()
        ended.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        budgeted.extra_ports.append(port)
        limits = "concurrent_tunnels = 1\nbytes_up_per_day = 200000\n"
        await budgeted.start(f"[budgets.workspace]\n{limits}")
        sockets = [await budgeted.open(f"c{n}", host_policy(FILES, port)) for n in range(2)]
        connect = f"CONNECT {FILES}:{port} HTTP/1.1\r\nHost: {FILES}:{port}\r\n\r\n".encode()
        reader, writer = await opened(sockets[0])
        async with asyncio.timeout(READY_TIMEOUT_S):
            writer.write(connect)
            assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
            assert statuses(await converse(sockets[1], connect)) == [429]
            received = 0
            writer.write(bytes(2 * MOST_READ_AT_ONCE_BYTES))
            with suppress(ConnectionError):
                while chunk := await reader.read(65536):
                    received += len(chunk)
            await ended.wait()
        assert received <= 200_000 + COUNTED_AT_BYTES
        use = await budgeted.used()
        assert 200_000 < use["bytes_up"] <= 200_000 + COUNTED_AT_BYTES + MOST_READ_AT_ONCE_BYTES
        assert use["open_tunnels"] == 0
        assert statuses(await converse(sockets[1], connect)) == [429], "none is left for today"


async def test_a_body_that_does_not_fit_is_refused_before_it_is_sent(budgeted: Budgeted) -> None:
    await budgeted.start("[budgets.workspace]\nbytes_up_per_day = 1000\n")
    socket = await budgeted.open("c1", anthropic_policy())
    path = "/v1/messages/count_tokens"
    assert (await budgeted.call(socket, path, b"{%b}" % (b" " * 998))).status == 200
    refused = await budgeted.call(socket, path, b"{}")
    assert refused.status == 429
    assert "bytes_up_per_day: the limit is 1000, 1000 are used" in refused.message
    assert len(budgeted.model.calls) == 1


async def test_an_answer_ends_where_the_bytes_of_the_day_do(
    budgeted: Budgeted, upstream: Upstream
) -> None:
    budgeted.extra_ports.append(upstream.port)
    await budgeted.start("[budgets.workspace]\nbytes_down_per_day = 500000\n")
    socket = await budgeted.open("c1", host_policy(FILES, upstream.port))
    request = absolute("GET", f"http://{FILES}:{upstream.port}/", "Accept: test/flood")
    answer = await converse(socket, request)
    assert 0 < len(answer) < 500_000 + 70_000
    use = await budgeted.used()
    assert 500_000 < use["bytes_down"] < 500_000 + 1_200_000
    async with asyncio.timeout(READY_TIMEOUT_S):
        await upstream.gone.wait()
    assert statuses(await converse(socket, request)) == [429]


async def test_a_rule_is_no_way_round_a_budget_of_tokens(budgeted: Budgeted) -> None:
    await budgeted.start("[budgets.workspace]\nmodel_tokens_per_day = 10\n")
    rules = [{"host": "api.anthropic.com", "credential": "anthropic"}]
    budget = {"version": 1, "rules": rules}
    asked = {"policy": budget, "method": "POST", "url": "https://api.anthropic.com/v1/messages"}
    status, told = await budgeted.proxy.control("POST", "/explain", json.dumps(asked))
    assert status == 200
    assert (told["verdict"], told["code"]) == ("refused", "model-not-counted")
    await budgeted.reload("")
    _, told = await budgeted.proxy.control("POST", "/explain", json.dumps(asked))
    assert told["verdict"] == "allowed"
