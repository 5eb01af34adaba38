"""The span that code runs in, and spans below it.

The place is kept in a context variable, so tasks inherit it. Code that can only run on behalf of a
request asks for `span`; what may also begin by itself asks for `trace`. Where nothing is traced
both give the same idle object, which takes everything and keeps nothing.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextvars import ContextVar, Token
from dataclasses import dataclass
from functools import wraps
from types import TracebackType
from typing import Any, Final, Literal, ParamSpec, Protocol, TypeVar

from hakoiri.tracing.names import IS_CANCELLED
from hakoiri.tracing.trace_context import TraceContext

Value = str | int | float | bool
Kind = Literal["internal", "server", "client"]
P = ParamSpec("P")
R = TypeVar("R")


class Span(Protocol):
    """A span that has begun."""

    def set(self, name: str, value: Value) -> None:
        """Tell something of it; names are those of `names`."""

    def rename(self, name: str) -> None:
        """Call it by a name that was not known when it began."""

    def fail(self, error_type: str) -> None:
        """Tell that it failed, by a word of a closed set or the name of a class."""


class OpenSpan(Span, Protocol):
    """A span that is recorded, and has to be ended."""

    @property
    def context(self) -> TraceContext:
        """Its place."""

    def end(self, *, end_ns: int | None = None) -> None:
        """End it, now or at a time since 1970."""


class Tracer(Protocol):
    """Begins spans. See `exporting` for the one that sends them away."""

    def start(
        self,
        name: str,
        *,
        kind: Kind = "internal",
        parent: TraceContext | None = None,
        is_remote: bool = False,
        link: TraceContext | None = None,
        attributes: Mapping[str, Value] | None = None,
        start_ns: int | None = None,
    ) -> OpenSpan | None:
        """Begin a span, of a new trace without `parent`; None if it is not to be recorded.

        `is_remote`: the parent is of another process. `link` is a span that has to do with it.
        """


@dataclass(frozen=True, slots=True)
class _Place:
    """Where code runs: in a span, or where a trace may begin; `carrier` goes with the container."""

    tracer: Tracer
    span: OpenSpan | None = None
    carrier: TraceContext | None = None


_place: Final[ContextVar[_Place | None]] = ContextVar("hakoiri_trace_place", default=None)


class _Idle:
    """Stands for a span where there is none."""

    def __enter__(self) -> Span:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def set(self, name: str, value: Value) -> None:
        """Keep nothing."""

    def rename(self, name: str) -> None:
        """Keep nothing."""

    def fail(self, error_type: str) -> None:
        """Keep nothing."""


class _Entered:
    """Makes a span the place that a block runs in, and ends it with the block."""

    __slots__ = ("_place", "_span", "_token")

    def __init__(self, tracer: Tracer, span: OpenSpan, *, carrier: TraceContext | None) -> None:
        self._span = span
        self._place = _Place(tracer, span, carrier or span.context)
        self._token: Token[_Place | None] | None = None

    def __enter__(self) -> Span:
        self._token = _place.set(self._place)
        return self._span

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._token is not None:
            _place.reset(self._token)
        if isinstance(error, asyncio.CancelledError):
            self._span.set(IS_CANCELLED, value=True)
        elif error is not None:
            # never its text, which may hold anything
            self._span.fail(type(error).__name__)
        self._span.end()


class _Untraced:
    """Lets a block run where nothing is traced, not even what could begin a trace."""

    __slots__ = ("_token",)

    def __init__(self) -> None:
        self._token: Token[_Place | None] | None = None

    def __enter__(self) -> Span:
        self._token = _place.set(None)
        return _IDLE

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            _place.reset(self._token)


Block = _Idle | _Entered | _Untraced
_IDLE: Final = _Idle()


def allow_traces(tracer: Tracer) -> None:
    """Let traces begin in whatever is begun from here on."""
    _place.set(_Place(tracer))


def span(
    name: str,
    *,
    kind: Kind = "internal",
    carries: bool = False,
    attributes: Mapping[str, Value] | None = None,
) -> Block:
    """Return a block that is a span of the trace that runs here; an idle one if none does.

    If it `carries`, requests of the container that is claimed in it are put below it.
    """
    place = _place.get()
    if place is None or place.span is None:
        return _IDLE
    made = place.tracer.start(name, kind=kind, parent=place.span.context, attributes=attributes)
    if made is None:
        return _IDLE
    return _Entered(place.tracer, made, carrier=None if carries else place.carrier)


def trace(
    name: str, *, carries: bool = False, attributes: Mapping[str, Value] | None = None
) -> Block:
    """Return a block as `span` does; where no trace runs but one may begin, one does."""
    place = _place.get()
    if place is None or place.span is not None:
        return span(name, carries=carries, attributes=attributes)
    return root(place.tracer, name, attributes=attributes)


def root(
    tracer: Tracer,
    name: str,
    *,
    kind: Kind = "internal",
    parent: TraceContext | None = None,
    link: TraceContext | None = None,
    attributes: Mapping[str, Value] | None = None,
) -> Block:
    """Return a block that is this process's first span of a trace; `parent` is another's span."""
    made = tracer.start(
        name,
        kind=kind,
        parent=parent,
        is_remote=parent is not None,
        link=link,
        attributes=attributes,
    )
    return _Untraced() if made is None else _Entered(tracer, made, carrier=None)


def spanned(
    name: str, *, kind: Kind = "internal"
) -> Callable[[Callable[P, Coroutine[Any, Any, R]]], Callable[P, Coroutine[Any, Any, R]]]:
    """Make each call of a coroutine function a span."""

    def decorate(
        function: Callable[P, Coroutine[Any, Any, R]],
    ) -> Callable[P, Coroutine[Any, Any, R]]:
        @wraps(function)
        async def called(*args: P.args, **kwargs: P.kwargs) -> R:
            with span(name, kind=kind):
                return await function(*args, **kwargs)

        return called

    return decorate


def current() -> TraceContext | None:
    """Return the span that runs here."""
    place = _place.get()
    return None if place is None or place.span is None else place.span.context


def carried() -> str | None:
    """Return, as a `traceparent`, below what the requests of a container claimed here belong."""
    place = _place.get()
    return None if place is None or place.carrier is None else place.carrier.traceparent
