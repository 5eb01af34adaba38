"""One container's socket: whose it is, what runs through it, and the fence of generations."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from hakoiri.audit.allowance import RefusalLines
from hakoiri.credential_proxy.binding import Binding
from hakoiri.credential_proxy.decision import Route
from hakoiri.credential_proxy.decision_log import Owner
from hakoiri.credential_proxy.errors import CredentialProxyError
from hakoiri.credential_proxy.framing import RequestHead
from hakoiri.credential_proxy.span_allowance import SpanAllowance, TracedFor
from hakoiri.wire.proxy import SocketStats

REQUESTS_LIMIT: Final = 64
TUNNELS_LIMIT: Final = 64
TUNNELS: Final = frozenset({"tunnel", "intercept"})
"""The routes that take a place for tunnels."""


class GenerationFencedError(CredentialProxyError):
    """The socket was already bound for a newer generation, or for another workspace."""


class TooManyRequestsError(CredentialProxyError):
    """The container has as many requests or tunnels open as it may."""


class ContainerSocket:
    """The state of a socket. A socket serves one workspace in its life."""

    def __init__(self, container: str) -> None:
        self.container = container
        self._traced: TracedFor | None = None
        self._spans = SpanAllowance()
        self._refusals = RefusalLines()
        self.binding: Binding | None = None
        self._last_generation = 0
        self._workspace: str | None = None
        self._active: dict[asyncio.Task[object], tuple[RequestHead, Route]] = {}
        self._requests = 0
        self._tunnels = 0
        self._allowed = 0
        self._refused = 0

    def bind(self, binding: Binding) -> None:
        """Speak for `binding` from now on; streams of an older generation are cut.

        Raises:
            GenerationFencedError: a newer generation or another workspace was bound before.
        """
        if binding.generation < self._last_generation:
            raise GenerationFencedError(
                f"generation {binding.generation} is older than {self._last_generation}"
            )
        if self._workspace not in (None, binding.workspace):
            raise GenerationFencedError("the container already served another workspace")
        if binding.generation > self._last_generation:
            self.cut()
        self._last_generation = binding.generation
        self._workspace = binding.workspace
        self._traced = TracedFor(binding.trace, self._spans) if binding.trace else None
        self.binding = binding

    def unbind(self) -> None:
        """Refuse everything from now on, and cut every stream."""
        self.binding = None
        self.cut()

    def cut(self, *, where: Callable[[RequestHead, Route], bool] = lambda *_: True) -> None:
        """Cancel the requests and tunnels whose head, and route as it was decided, fit `where`."""
        for task, (head, route) in list(self._active.items()):
            if where(head, route):
                task.cancel()

    @contextmanager
    def slot(self, head: RequestHead, route: Route) -> Iterator[None]:
        """Take one of the places for requests or tunnels; what runs inside can be cut.

        Raises:
            TooManyRequestsError: all places are taken.
        """
        is_tunnel = route in TUNNELS
        if (self._tunnels >= TUNNELS_LIMIT) if is_tunnel else (self._requests >= REQUESTS_LIMIT):
            limit = TUNNELS_LIMIT if is_tunnel else REQUESTS_LIMIT
            kind = "tunnels" if is_tunnel else "requests"
            raise TooManyRequestsError(f"the container has {limit} {kind} open")
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a slot is taken by a task")
        self._active[task] = (head, route)
        self._tunnels += is_tunnel
        self._requests += not is_tunnel
        try:
            yield
        finally:
            del self._active[task]
            self._tunnels -= is_tunnel
            self._requests -= not is_tunnel

    def count(self, *, is_allowed: bool) -> None:
        """Count one decision."""
        self._allowed += is_allowed
        self._refused += not is_allowed

    @property
    def owner(self) -> Owner:
        """Whose requests these are, for the log."""
        if self.binding is None:
            return Owner(container=self.container, refusals=self._refusals)
        return Owner(
            container=self.container,
            workspace=self.binding.workspace,
            tenant=self.binding.tenant,
            generation=self.binding.generation,
            traced=self._traced,
            refusals=self._refusals,
        )

    @property
    def requests_open(self) -> int:
        """How many requests run, tunnels not counted."""
        return self._requests

    @property
    def tunnels_open(self) -> int:
        """How many tunnels and intercepted connections stand."""
        return self._tunnels

    @property
    def tasks(self) -> list[asyncio.Task[object]]:
        """The tasks of the requests and tunnels that run."""
        return list(self._active)

    @property
    def stats(self) -> SocketStats:
        """The counters since the socket was opened."""
        return SocketStats(
            container=self.container,
            workspace=self.binding.workspace if self.binding is not None else None,
            generation=self.binding.generation if self.binding is not None else None,
            allowed=self._allowed,
            refused=self._refused,
            active=len(self._active),
        )
