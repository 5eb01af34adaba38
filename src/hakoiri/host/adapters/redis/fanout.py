"""News through Redis' channels: no promise is made there, so each break means "look at all"."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Final, Literal

import structlog
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from hakoiri.host.adapters.redis.link import RedisLink
from hakoiri.host.coordination.bounded_news import SUBJECTS_LIMIT, BoundedNews
from hakoiri.host.coordination.mailbox import Mailbox
from hakoiri.host.coordination.ports import (
    NAME_LIMIT_CHARS,
    CoordinationAwayError,
    News,
    Topic,
)
from hakoiri.wire.messages import REMEMBERS_NAMES

MESSAGE_LIMIT_CHARS: Final = 512 * 1024
"""Above what a full message takes; what is cut off here is no JSON any more."""
SILENCE_S: Final = 5.0
"""After this the other end is asked whether it is there."""

RETRY_S: Final = 0.25
ORIGINS_LIMIT: Final = 256
"""Senders whose numbers are followed; a new one beyond it starts the count afresh."""

log = structlog.get_logger(__name__)

Subject = Annotated[str, StringConstraints(max_length=NAME_LIMIT_CHARS)]


class Sent(BaseModel):
    """One message. Numbers count a sender's messages, so that a missing one shows."""

    model_config = REMEMBERS_NAMES | ConfigDict(extra="forbid", frozen=True, strict=True)

    version: Literal[1] = 1
    origin: str = Field(pattern=r"^[0-9a-f]{16}$")
    number: int = Field(ge=1, lt=2**53)
    topic: Topic = Field(strict=False)
    subjects: list[Subject] | None = Field(max_length=SUBJECTS_LIMIT)

    def news(self) -> News:
        """Return what it tells."""
        subjects = None if self.subjects is None else frozenset(self.subjects)
        return News(self.topic, subjects)


class RedisFanout:
    """`Fanout` in Redis. `send` and `receive` are to run while it is used."""

    def __init__(self, link: RedisLink, *, namespace: str, limit: int = SUBJECTS_LIMIT) -> None:
        """`limit` bounds the subjects of one topic that wait to be sent, and to be read."""
        self._link = link
        self._channel = f"{namespace}:news"
        self._origin = secrets.token_hex(8)
        self._number = 0
        self._outgoing = BoundedNews(limit=min(limit, SUBJECTS_LIMIT))
        self._wanted = asyncio.Event()
        self._mailbox = Mailbox(limit=limit)
        self._last: dict[str, int] = {}
        self.is_hearing = asyncio.Event()
        """Set while the channel is subscribed to."""

    def announce(self, topic: Topic, subject: str = "") -> None:
        """Tell the other servers, soon."""
        self._outgoing.add(topic, subject)
        self._wanted.set()

    def listen(self) -> AbstractAsyncContextManager[AsyncIterator[News]]:
        """Hear the others from now on."""
        return self._mailbox.opened()

    async def send(self) -> None:
        """Send what is announced, until cancelled. What waits while Redis is away is sent after."""
        while True:
            await self._wanted.wait()
            await self._link.until_up()
            self._wanted.clear()
            waiting = self._outgoing.take()
            for index, news in enumerate(waiting):
                try:
                    await self._send(news)
                except CoordinationAwayError:
                    for unsent in waiting[index:]:
                        self._outgoing.put_back(unsent)
                    self._wanted.set()
                    break

    async def _send(self, news: News) -> None:
        self._number += 1
        subjects = None if news.subjects is None else sorted(news.subjects)
        sent = Sent(
            origin=self._origin, number=self._number, topic=news.topic, subjects=subjects
        ).model_dump_json()
        await self._link.call(lambda redis: redis.publish(self._channel, sent))

    async def receive(self) -> None:
        """Take in what others send, until cancelled; subscribes anew when a connection breaks."""
        while True:
            await self._link.until_up()
            try:
                async with self._link.client.pubsub() as channel:
                    await self._subscribe(channel)
                    while True:
                        await self._take_in(channel)
            except (RedisError, OSError, TimeoutError) as error:
                log.info("coordination_channel_broken", reason=str(error) or type(error).__name__)
            finally:
                self.is_hearing.clear()
            await asyncio.sleep(RETRY_S)

    async def _subscribe(self, channel: PubSub) -> None:
        async with asyncio.timeout(self._link.timeout_s):
            await channel.subscribe(self._channel)
            await channel.get_message(timeout=self._link.timeout_s)
        # Whatever was sent while nobody listened here is not sent again.
        self._last.clear()
        self._mailbox.missed()
        self.is_hearing.set()

    async def _take_in(self, channel: PubSub) -> None:
        """Take one message in; after a silence see whether there is anybody at the other end."""
        message = await channel.get_message(timeout=SILENCE_S)
        if message is None:
            await channel.ping()
            message = await channel.get_message(timeout=self._link.timeout_s)
        if message is None:
            told = f"nobody at the other end for {self._link.timeout_s:g} s"
            raise TimeoutError(told)
        if message["type"] == "message":
            self.hear(str(message["data"]))

    def hear(self, text: str) -> None:
        """Take one message in. One that cannot be read may have told anything."""
        try:
            sent = Sent.model_validate_json(text[: MESSAGE_LIMIT_CHARS + 1])
        except ValidationError as error:
            log.warning("coordination_message_unread", problems=error.error_count())
            self._mailbox.missed()
            return
        if sent.origin == self._origin:
            return
        last = self._last.get(sent.origin)
        if len(self._last) >= ORIGINS_LIMIT and last is None:
            self._last.clear()
        self._last[sent.origin] = sent.number
        if last is not None and sent.number != last + 1:
            self._mailbox.missed()
        else:
            self._mailbox.put_news(sent.news())
