"""What a server does about the news of others."""

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from hakoiri.host.containers.ports import ContainersError, Owner
from hakoiri.host.conversations.ports import StoreError
from hakoiri.host.coordination.in_process import InProcessHub
from hakoiri.host.coordination.ports import News, Topic
from hakoiri.host.following import AT_ONCE, Following
from hakoiri.wire.policy import DENY_ALL, Policy

pytestmark = pytest.mark.anyio

WIDER = Policy(runtimes=["runsc"])


@dataclass
class Around:
    """All that is told to do something, which notes it down."""

    done: list[str] = field(default_factory=list)
    policies: dict[str, Policy] = field(default_factory=dict)
    """In force for what is live."""

    wanted: dict[str, Policy] = field(default_factory=dict)
    store_failures: int = 0
    rebind_failure: ContainersError | None = None
    take_up_failure: Exception | None = None

    def wake(self, subject: str) -> None:
        self.done.append(f"wake {subject}")

    def wake_all(self) -> None:
        self.done.append("wake all")

    def close(self, subject: str) -> None:
        self.done.append(f"close {subject}")

    def interrupt_here(self, subject: str) -> bool:
        self.done.append(f"interrupt {subject}")
        return True

    async def take_up_unfinished(self) -> int:
        self.done.append("take up")
        if self.take_up_failure is not None:
            raise self.take_up_failure
        return 0

    async def retire_if_idle(self, subject: str, reason: str) -> bool:
        self.done.append(f"hand over {subject}")
        if subject == "w-bad":
            raise ContainersError("the engine is away")
        return True

    def members(self) -> list[Any]:
        return [SimpleNamespace(workspace_id=name) for name in self.policies]

    def live_in(self, workspace_id: str) -> Any:
        policy = self.policies.get(workspace_id)
        return None if policy is None else SimpleNamespace(policy=policy)

    async def rebind(
        self, *, workspace_id: str, tenant: str, policy: Policy, ends_refused: bool
    ) -> None:
        assert ends_refused
        if self.rebind_failure is not None:
            self.done.append(f"rebind {workspace_id}: {self.rebind_failure}")
            raise self.rebind_failure
        self.done.append(f"rebind {workspace_id} of {tenant}")
        self.policies[workspace_id] = policy

    async def owner(self, workspace_id: str) -> Owner | None:
        if self.store_failures:
            self.store_failures -= 1
            raise StoreError("the database does not answer")
        found = self.wanted.get(workspace_id)
        return None if found is None else Owner("default", found)

    async def follow(self) -> None:
        self.done.append("pool")

    async def sleep(self, seconds: float) -> None:
        self.done.append("wait")
        if self.done.count("wait") > 3:
            raise asyncio.CancelledError


def following(around: Around) -> Following:
    anything = cast("Any", around)
    return Following(
        fanout=InProcessHub().server().fanout,
        feed=anything,
        execute=anything,
        orchestrator=anything,
        owners=anything,
        pool=anything,
        sleep=around.sleep,
    )


async def follow(around: Around, *all_news: News) -> list[str]:
    one = following(around)
    for news in all_news:
        for work in one.follow(news):
            await one._do(work)
    return around.done


SUBJECT = frozenset({"x"})


@pytest.mark.parametrize(
    ("news", "done"),
    [
        (News(Topic.EVENTS, SUBJECT), ["wake x"]),
        (News(Topic.EVENTS, None), ["wake all"]),
        (News(Topic.CLOSED, SUBJECT), ["close x"]),
        (News(Topic.CLOSED, None), []),
        (News(Topic.INTERRUPT, SUBJECT), ["interrupt x"]),
        (News(Topic.INTERRUPT, None), []),
        (News(Topic.HAND_OVER, SUBJECT), ["hand over x"]),
        (News(Topic.HAND_OVER, None), []),
        (News(Topic.POOL, frozenset({""})), ["pool"]),
        (News(Topic.POOL, None), ["pool"]),
    ],
)
async def test_news_are_followed(news: News, done: list[str]) -> None:
    assert await follow(Around(), news) == done


@pytest.mark.parametrize("subjects", [frozenset({""}), None])
async def test_what_is_live_comes_under_new_policies(subjects: frozenset[str] | None) -> None:
    around = Around(
        policies={"w-1": DENY_ALL, "w-2": DENY_ALL, "w-gone": DENY_ALL},
        wanted={"w-1": WIDER, "w-2": DENY_ALL},
    )
    assert await follow(around, News(Topic.POLICIES, subjects)) == ["rebind w-1 of default"]


async def test_what_cannot_be_put_under_a_new_policy_holds_up_no_other() -> None:
    policies: dict[str, Policy] = {"w-1": DENY_ALL, "w-2": DENY_ALL}
    around = Around(policies=policies, wanted={"w-1": WIDER, "w-2": WIDER})
    around.rebind_failure = ContainersError("away")
    done = await follow(around, News(Topic.POLICIES, None))
    assert done == ["rebind w-1: away", "rebind w-2: away"]


async def test_a_database_that_is_away_is_asked_until_it_answers() -> None:
    around = Around(policies={"w-1": DENY_ALL}, wanted={"w-1": WIDER}, store_failures=2)
    done = await follow(around, News(Topic.POLICIES, None))
    assert done == ["wait", "wait", "rebind w-1 of default"]


async def test_one_piece_of_news_that_fails_ends_no_other() -> None:
    with capture_logs() as logs:
        done = await follow(Around(), News(Topic.HAND_OVER, frozenset({"w-bad"})))
    assert done == ["hand over w-bad"]
    assert [line["event"] for line in logs] == ["news_not_followed"]


async def test_news_are_heard_from_other_servers() -> None:
    hub = InProcessHub(is_shared=True)
    around = Around()
    async with hub.server("a") as a, hub.server("b") as b:
        one = following(around)
        one._fanout = a.fanout
        async with asyncio.TaskGroup() as group:
            running = group.create_task(one.run(), name="following")
            await asyncio.sleep(0)
            b.announce(Topic.EVENTS, "c-1")
            b.announce(Topic.HAND_OVER, "w-1")
            async with asyncio.timeout(60):
                while len(around.done) < 2:  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0)
            running.cancel()
    assert sorted(around.done) == ["hand over w-1", "wake c-1"]


@pytest.mark.parametrize("has_others", [False, True])
async def test_a_server_looks_after_turns_with_and_without_others(*, has_others: bool) -> None:
    around = Around()
    others: Any = SimpleNamespace(run=lambda *, every_s: around.sleep(every_s))
    keepings = following(around).keepings(others if has_others else None, every_s=15)
    assert [name for name, _ in keepings] == [
        "unfinished turns",
        *(["news", "other servers"] if has_others else []),
    ]
    for _, work in keepings[1:]:
        work.close()
    with pytest.raises(asyncio.CancelledError):
        await keepings[0][1]
    assert "take up" in around.done


@pytest.mark.parametrize("failure", [StoreError("away"), ValueError("not to be read")])
async def test_turns_without_a_server_are_looked_for_again_and_again(failure: Exception) -> None:
    around = Around(take_up_failure=failure)
    with pytest.raises(asyncio.CancelledError):
        await following(around).look_after_turns(every_s=15)
    assert around.done[:4] == ["wait", "take up", "wait", "take up"]


async def test_removals_that_hang_do_not_keep_a_new_policy_from_what_is_live() -> None:
    around = Around(policies={"w-1": DENY_ALL}, wanted={"w-1": WIDER})
    one, is_over = following(around), asyncio.Event()

    async def hangs(subject: str, reason: str) -> bool:
        await is_over.wait()
        return True

    around.retire_if_idle = hangs  # type: ignore[method-assign]
    async with asyncio.TaskGroup() as group:
        for number in range(2 * AT_ONCE):
            for work in one.follow(News(Topic.HAND_OVER, frozenset({f"w-{number}"}))):
                group.create_task(one._do(work))
        await asyncio.sleep(0)
        async with asyncio.timeout(60):
            for work in one.follow(News(Topic.POLICIES, None)):
                await one._do(work)
        is_over.set()
    assert around.done == ["rebind w-1 of default"]
