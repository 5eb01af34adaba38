"""Where news wait for the one who listens."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from hakoiri.host.coordination.bounded_news import SUBJECTS_LIMIT, BoundedNews
from hakoiri.host.coordination.ports import News, Topic


class Mailbox:
    """Takes in news while somebody listens, and wakes him."""

    def __init__(self, *, limit: int = SUBJECTS_LIMIT) -> None:
        """`limit` bounds the subjects of one topic that wait."""
        self._news = BoundedNews(limit=limit)
        self._heard = anyio.Event()
        self._is_open = False

    def put(self, topic: Topic, subject: str) -> None:
        """Take one in."""
        if self._is_open:
            self._news.add(topic, subject)
            self._heard.set()

    def put_news(self, news: News) -> None:
        """Take news in as they were sent."""
        if self._is_open:
            self._news.put_back(news)
            self._heard.set()

    def missed(self) -> None:
        """Note that anything may have been missed."""
        if self._is_open:
            self._news.add_everything()
            self._heard.set()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[AsyncIterator[News]]:
        """Take news in until the block is left."""
        self._is_open = True
        try:
            yield self._all()
        finally:
            self._is_open = False
            self._news.take()

    async def _all(self) -> AsyncIterator[News]:
        while True:
            await self._heard.wait()
            self._heard = anyio.Event()
            for news in self._news.take():
                yield news
