"""What coordination is asked for: leases, and news among servers."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Final, Literal, Protocol, Self

NAME_LIMIT_CHARS: Final = 200
"""Of the name of a lease and of a subject; ours are ids."""

WhenAway = Literal["refuse", "local"]
"""What becomes of a new lease while the service is away: refused, or given on our word alone."""


class CoordinationError(Exception):
    """Servers cannot agree now."""


class CoordinationAwayError(CoordinationError):
    """The coordination service does not answer; nothing new is begun until it does."""


class UnsettledError(CoordinationError):
    """It is not known yet whether another server has this; it will be in a moment."""


class Lease(Protocol):
    """The right to a name, for a time, renewed by the adapter until it is released."""

    @property
    def name(self) -> str:
        """What it is the right to."""

    @property
    def token(self) -> int:
        """The fencing token: above that of every lease of this name that was given before."""

    @property
    def is_held(self) -> bool:
        """Whether it was still ours a moment ago, by our own clock. Never true once it ran out."""

    @property
    def is_sole(self) -> bool:
        """Whether no other server can have the name and have been kept from saying so.

        False for a while after the service lost its memory, or after we first met it: a holder that
        has not renewed its lease since would not show.
        """

    async def release(self) -> None:
        """Give it back; nothing happens if it is not ours any more, or the service is away."""


class Leases(Protocol):
    """Leases by name. They decide who goes first; the store fences what a late holder writes."""

    async def acquire(self, name: str) -> Lease | None:
        """Return the lease; None if somebody has it, be it this process.

        One that this server held before it was started anew is given at once, with a new token.
        Raises `CoordinationAwayError`.
        """


class Topic(StrEnum):
    """What news are about, and what their subjects are."""

    EVENTS = "events"
    """The log of a conversation has grown."""

    CLOSED = "closed"
    """A conversation was deleted."""

    INTERRUPT = "interrupt"
    """The turn of a conversation is to end early, at the server that runs it."""

    HAND_OVER = "hand-over"
    """A workspace is wanted elsewhere: who has it idle gives it up."""

    POLICIES = "policies"
    """Policies have changed; the subject is empty."""

    POOL = "pool"
    """The setting of the warm pool has changed; the subject is empty."""


@dataclass(frozen=True, slots=True)
class News:
    """Subjects of a topic that changed elsewhere; None means that some were missed: look at all."""

    topic: Topic
    subjects: frozenset[str] | None


class Fanout(Protocol):
    """News among servers. They carry no content: what has changed is read where it is stored.

    Nothing here waits for a slow server, and no memory grows with one: what cannot be kept for a
    reader becomes "look at all".
    """

    def announce(self, topic: Topic, subject: str = "") -> None:
        """Tell the other servers, soon; the same subject told twice may arrive once."""

    def listen(self) -> AbstractAsyncContextManager[AsyncIterator[News]]:
        """Hear what other servers announce from now on. News of our own do not come back.

        Whatever was missed, because a connection broke or the reader was slow, shows as news
        without subjects, of every topic.
        """


class Coordination(Protocol):
    """All of it, as one server sees it. Use as `async with`: it works while it is open."""

    async def __aenter__(self) -> Self:
        """Open it, whether or not the service answers."""

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go: what is still held runs out."""

    @property
    def leases(self) -> Leases:
        """Who may do what."""

    @property
    def fanout(self) -> Fanout:
        """What the others did."""

    @property
    def is_shared(self) -> bool:
        """Whether there may be other servers."""

    def failure(self) -> str | None:
        """Return why it cannot be used now; None if it can."""
