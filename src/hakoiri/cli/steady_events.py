"""A conversation's events past the end of a server: its next start goes on after the last one."""

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, repeat
from typing import Any, Final

from hakoiri.cli.api_client import ApiClient, ApiError, BrokenOffError
from hakoiri.wire.terminal_types import TERMINAL_TYPES

PATIENCE_S: Final = 60.0
"""How long a server may be away: an end takes up to 30 s, a start as long again."""

PAUSES_S: Final = (0.2, 0.5, 1.0, 2.0)
"""Between attempts; the last again and again."""

STEADY_S: Final = 5.0
"""A stream that was open for so long had been taken by a server that is not about to end."""

AWAY: Final = "the server's stream has ended; watching on as soon as a server answers"
UNAVAILABLE: Final = 503

Event = dict[str, Any]
Tell = Callable[[str], None]


class Steady:
    """Asks for the rest of the events whenever a stream ends."""

    def __init__(
        self,
        api: ApiClient,
        *,
        tell: Tell,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`tell` is given a line when the server has gone away; `clock` gives seconds."""
        self._api = api
        self._tell = tell
        self._clock = clock
        self._sleep = sleep

    def turn(self, conversation_id: str, text: str) -> Iterator[Event]:
        """Post a message; yield the turn's events to its last.

        Raises `ApiError`; the message is posted once, so that what breaks before its first event
        came is not tried again.
        """
        source = self._api.send(conversation_id, text)
        first = next(source)
        for event in chain([first], self._go_on(conversation_id, source, after=first["id"])):
            yield event
            if event["type"] in TERMINAL_TYPES:
                return

    def log(self, conversation_id: str, *, after: int) -> Iterator[Event]:
        """Yield the events after a number, without end. Raises `ApiError`."""
        source = self._api.follow(conversation_id, after=after)
        yield from self._go_on(conversation_id, source, after=after)

    def _go_on(
        self, conversation_id: str, source: Iterable[Event], *, after: int
    ) -> Iterator[Event]:
        last, is_first = after, True
        away_since_s: float | None = None
        pauses: Iterator[float] = iter(())
        while True:
            opened_s = self._clock()
            before = last
            try:
                for event in source:
                    last = event["id"]
                    yield event
            except ApiError as error:
                if not _is_passing(error, is_first=is_first):
                    raise
            is_first = False
            now_s = self._clock()
            if away_since_s is None or last > before or now_s - opened_s >= STEADY_S:
                away_since_s, pauses = now_s, chain(PAUSES_S, repeat(PAUSES_S[-1]))
                self._tell(AWAY)
            elif now_s - away_since_s >= PATIENCE_S:
                raise ApiError(
                    f"no server has answered for {PATIENCE_S:g} s; `hakoiri conversation events "
                    f"{conversation_id} --after {last}` goes on from here"
                )
            self._sleep(next(pauses))
            source = self._api.follow(conversation_id, after=last)


def _is_passing(error: ApiError, *, is_first: bool) -> bool:
    """Whether to ask again: a server that never answered may be the wrong one, or not be there."""
    if isinstance(error, BrokenOffError):
        return True
    if is_first:
        return False
    return error.problem is None or error.problem.status == UNAVAILABLE
