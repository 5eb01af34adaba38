import anyio
import pytest

from hakoiri.host.coordination.mailbox import Mailbox
from hakoiri.host.coordination.ports import News, Topic

pytestmark = pytest.mark.anyio


async def test_news_wait_for_the_one_who_listens_and_for_nobody_else() -> None:
    mailbox = Mailbox()
    mailbox.put(Topic.EVENTS, "nobody listens")
    async with mailbox.opened() as news:
        mailbox.put(Topic.EVENTS, "a")
        mailbox.put_news(News(Topic.EVENTS, frozenset({"b"})))
        assert await anext(news) == News(Topic.EVENTS, frozenset({"a", "b"}))
        mailbox.put(Topic.EVENTS, "left behind")
    async with mailbox.opened() as news:
        mailbox.put(Topic.CLOSED, "c")
        assert await anext(news) == News(Topic.CLOSED, frozenset({"c"}))


async def test_a_reader_is_woken() -> None:
    mailbox = Mailbox()
    heard = []

    async def read() -> None:
        async with mailbox.opened() as all_news:
            heard.append(await anext(all_news))

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        mailbox.missed()
    assert heard[0].subjects is None
