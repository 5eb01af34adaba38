"""Coordination among the servers of one process: usually one, which then is asked nothing."""

import math
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from hakoiri.host.coordination.bounded_news import SUBJECTS_LIMIT
from hakoiri.host.coordination.mailbox import Mailbox
from hakoiri.host.coordination.ports import News, Topic


@dataclass(slots=True, eq=False)
class _Given:
    """A lease as the hub knows it; it ends at `until_s` of the hub's clock."""

    name: str
    holder: str
    token: int
    until_s: float = math.inf


class InProcessHub:
    """What servers of one process share. Leases of a server that is open do not run out."""

    def __init__(
        self,
        *,
        is_shared: bool = False,
        lease_s: float = 0,
        clock: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """`is_shared` is for more than one server.

        What a server held that ended without a word is held for `lease_s` more, on `clock`.
        """
        self.is_shared = is_shared
        self._lease_s = lease_s
        self._clock = clock
        self._tokens = 0
        self._given: dict[str, _Given] = {}
        self._servers: set[InProcessCoordination] = set()

    def server(self, holder: str = "", *, limit: int = SUBJECTS_LIMIT) -> "InProcessCoordination":
        """Return the coordination of one server; `limit` bounds the news that wait for it."""
        return InProcessCoordination(self, holder, limit=limit)

    def has(self, given: _Given) -> bool:
        """Whether the lease is in force."""
        return self._given.get(given.name) is given and self._clock() < given.until_s

    def give(self, name: str, server: "InProcessCoordination") -> _Given | None:
        """Give the lease, unless somebody has it who is not the server's own earlier self."""
        found = self._given.get(name)
        if found is not None and self.has(found):
            is_earlier_self = found.holder == server.holder and not server.has_given(found)
            if not is_earlier_self:
                return None
        self._tokens += 1
        given = self._given[name] = _Given(name, server.holder, self._tokens)
        return given

    def take_back(self, given: _Given) -> None:
        """Forget the lease, if it is in force."""
        if self._given.get(given.name) is given:
            del self._given[given.name]

    def let_run_out(self, given: _Given) -> None:
        """Let a lease run out that nobody renews any more."""
        given.until_s = self._clock() + self._lease_s

    def join(self, server: "InProcessCoordination") -> None:
        """Let a server hear the others."""
        self._servers.add(server)

    def leave(self, server: "InProcessCoordination") -> None:
        """Forget it."""
        self._servers.discard(server)

    def tell_others(self, teller: "InProcessCoordination", topic: Topic, subject: str) -> None:
        """Pass one on to all but the teller."""
        for server in self._servers - {teller}:
            server.hear(topic, subject)


@dataclass(frozen=True, slots=True)
class InProcessLease:
    """A lease of the hub, which forgets nothing while its servers live."""

    hub: InProcessHub
    given: _Given
    mine: set[_Given]

    @property
    def name(self) -> str:
        """What it is the right to."""
        return self.given.name

    @property
    def token(self) -> int:
        """The fencing token."""
        return self.given.token

    @property
    def is_held(self) -> bool:
        """Whether nobody else has it, and it has not run out."""
        return self.hub.has(self.given)

    @property
    def is_sole(self) -> bool:
        """Return True: whoever had it would show."""
        return True

    async def release(self) -> None:
        """Give it back."""
        self.mine.discard(self.given)
        self.hub.take_back(self.given)


class InProcessCoordination:
    """`Coordination`, `Leases` and `Fanout` of one server."""

    def __init__(self, hub: InProcessHub, holder: str, *, limit: int) -> None:
        """Belong to the hub, as `holder`."""
        self.holder = holder
        self._hub = hub
        self._mine: set[_Given] = set()
        self._mailbox = Mailbox(limit=limit)

    async def __aenter__(self) -> Self:
        self._hub.join(self)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Renew nothing any more."""
        self._hub.leave(self)
        for given in self._mine:
            self._hub.let_run_out(given)
        self._mine.clear()

    @property
    def leases(self) -> Self:
        """Who may do what."""
        return self

    @property
    def fanout(self) -> Self:
        """What the others did."""
        return self

    @property
    def is_shared(self) -> bool:
        """Whether there may be other servers in this process."""
        return self._hub.is_shared

    def failure(self) -> str | None:
        """Return None: it is never away."""
        return None

    async def acquire(self, name: str) -> InProcessLease | None:
        """Return the lease; None if somebody has it."""
        given = self._hub.give(name, self)
        if given is None:
            return None
        self._mine.add(given)
        return InProcessLease(self._hub, given, self._mine)

    def has_given(self, given: _Given) -> bool:
        """Whether this very server, not an earlier one of its name, has the lease."""
        return given in self._mine

    def announce(self, topic: Topic, subject: str = "") -> None:
        """Tell the other servers of the process."""
        self._hub.tell_others(self, topic, subject)

    def hear(self, topic: Topic, subject: str) -> None:
        """Keep what another server tells, if somebody listens."""
        self._mailbox.put(topic, subject)

    def listen(self) -> AbstractAsyncContextManager[AsyncIterator[News]]:
        """Hear the others from now on."""
        return self._mailbox.opened()
