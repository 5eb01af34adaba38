"""Messages of other servers as they come in: numbered, bounded, and not believed blindly."""

import asyncio
import json

import pytest
from prometheus_client import CollectorRegistry
from tests.integration.host.coordination.arenas import RedisArena

from hakoiri.host.adapters.redis.fanout import MESSAGE_LIMIT_CHARS, RedisFanout
from hakoiri.host.adapters.redis.link import RedisLink, open_client
from hakoiri.host.coordination.ports import News, Topic
from hakoiri.host.telemetry.coordination_metrics import CoordinationMetrics

pytestmark = pytest.mark.anyio


def fanout() -> RedisFanout:
    """One that nothing comes to but what a test lets it hear."""
    client = open_client("redis://127.0.0.1:1/0", username=None, password=None, timeout_s=1)
    metrics = CoordinationMetrics(CollectorRegistry())
    return RedisFanout(RedisLink(client, timeout_s=1, metrics=metrics), namespace="test")


def message(number: object = 1, **others: object) -> str:
    told = {
        "version": 1,
        "origin": "0123456789abcdef",
        "number": number,
        "topic": "events",
        "subjects": ["c-1"],
    }
    return json.dumps(told | others)


async def heard(*messages: str) -> dict[Topic, frozenset[str] | None]:
    hearing = fanout()
    async with hearing.listen() as news, asyncio.timeout(60):
        for text in messages:
            hearing.hear(text)
        hearing.hear(message(origin="f" * 16, topic="pool", subjects=[""]))
        found: dict[Topic, frozenset[str] | None] = {}
        while Topic.POOL not in found:
            one = await anext(news)
            found[one.topic] = one.subjects
        return found


async def test_a_message_is_heard() -> None:
    assert await heard(message()) == {
        Topic.EVENTS: frozenset({"c-1"}),
        Topic.POOL: frozenset({""}),
    }


async def test_a_missing_number_means_to_look_at_all() -> None:
    assert (await heard(message(1), message(2)))[Topic.EVENTS] == frozenset({"c-1"})
    assert (await heard(message(1), message(3)))[Topic.EVENTS] is None
    assert (await heard(message(2), message(1)))[Topic.EVENTS] is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{",
        "\x00",
        "x" * (MESSAGE_LIMIT_CHARS + 1),
        message(topic="other"),
        message(version=2),
        message(number="1"),
        message(number=0),
        message(origin="x"),
        message(subjects=["x" * 201]),
        message(subjects=[1]),
        message(subjects=["x"] * 1025),
        message(more=1),
    ],
)
async def test_what_cannot_be_read_may_have_told_anything(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (await heard(text))[Topic.EVENTS] is None
    assert "x" * 201 not in capsys.readouterr().out


async def test_many_senders_take_bounded_memory() -> None:
    hearing = fanout()
    async with hearing.listen():
        for number in range(1000):
            hearing.hear(message(origin=f"{number:016x}"))
    assert len(hearing._last) <= 256


async def test_what_a_stranger_publishes_does_not_end_a_server(redis_arena: RedisArena) -> None:
    async with (
        redis_arena.server("a") as a,
        redis_arena.server("b") as b,
        b.fanout.listen() as news,
        asyncio.timeout(60),
    ):
        with redis_arena.redis.client() as client:
            client.publish(f"{redis_arena.namespace}:news", "no message of ours")
        assert (await anext(news)).subjects is None
        a.fanout.announce(Topic.CLOSED, "c-9")
        while await anext(news) != News(Topic.CLOSED, frozenset({"c-9"})):
            pass
