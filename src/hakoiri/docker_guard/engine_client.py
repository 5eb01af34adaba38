"""The container engine behind its socket: one call at a time, answers bounded.

Connections are kept while the engine is up; when it was started anew, the next call finds it.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, Self
from urllib.parse import quote, urlencode

from hakoiri.docker_guard.engine_connection import (
    AnswerTooLongError,
    BrokenOffError,
    EngineConnection,
)
from hakoiri.docker_guard.refusal import CallRefusedError

CALL_TIMEOUT_S: Final = 700.0
"""Longer than the longest grace of a stop; whoever calls the guard has limits of its own."""

ANSWER_LIMIT_BYTES: Final = 64 * 1024 * 1024
MESSAGE_LIMIT_CHARS: Final = 1000
FIRST_ERROR_STATUS: Final = 400
CALLS_LIMIT: Final = 100
"""Calls that are under way at a time; more wait."""

IDLE_LIMIT: Final = 16
REPEATABLE: Final = frozenset({"GET", "DELETE"})
"""Done twice, they leave what they leave done once (RFC 9110, section 9.2.2)."""

PATH_CHARACTERS: Final = "/:@"
"""Besides letters and digits; image ids and names have a colon."""


@dataclass(frozen=True, slots=True)
class EngineAnswer:
    """A status below 400, and the document that came with it, if any."""

    status: int
    document: Any


def unusable_answer() -> CallRefusedError:
    """Return the refusal of an answer that is not what the engine's API says."""
    return CallRefusedError("engine-answer", "the engine's answer has another form", status=502)


class Engine(Protocol):
    """The engine's calls; errors are `CallRefusedError`."""

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
    ) -> EngineAnswer:
        """Make one call."""


class EngineClient:
    """The engine at `address` (`unix:///…`). Use as an async context manager."""

    def __init__(self, address: str) -> None:
        """Name the engine; nothing is opened yet."""
        self._address = address
        self._path = address.removeprefix("unix://")
        self._idle: list[EngineConnection] = []
        self._places = asyncio.Semaphore(CALLS_LIMIT)
        self._is_open = False

    async def __aenter__(self) -> Self:
        """Open the client; the engine is asked only when a call is made."""
        self._is_open = True
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the client."""
        self._is_open = False
        while self._idle:
            self._idle.pop().close()

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
    ) -> EngineAnswer:
        """Make one call. Raises `CallRefusedError` with the engine's own status and reason."""
        if not self._is_open:
            raise RuntimeError("the engine's client is not open")
        request = _request(method, path, query, body)
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S), self._places:
                status, content = await self._asked(request, may_repeat=method in REPEATABLE)
        except AnswerTooLongError:
            raise CallRefusedError(
                "engine-answer", "the engine's answer is too long", status=502
            ) from None
        except OSError as error:  # also of a TimeoutError
            said = str(error) or type(error).__name__
            raise CallRefusedError(
                "engine-away",
                f"the container engine at {self._address} does not answer ({said})",
                status=503,
            ) from error
        return _answer(status, content)

    async def _asked(self, request: bytes, *, may_repeat: bool) -> tuple[int, bytes]:
        """Ask over a connection that is there, or a new one.

        One that was there may have ended unseen: what may be repeated is asked once more.
        """
        connection = await self._connection()
        try:
            answer = await connection.ask(request)
        except BrokenOffError as error:
            if not (error.is_unheard and may_repeat):
                raise
            connection = await self._connection()
            answer = await connection.ask(request)
        if connection.is_reusable and self._is_open and len(self._idle) < IDLE_LIMIT:
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    async def _connection(self) -> EngineConnection:
        while self._idle:
            kept = self._idle.pop()
            if kept.is_reusable:
                return kept
        _, made = await asyncio.get_running_loop().create_unix_connection(
            lambda: EngineConnection(limit_bytes=ANSWER_LIMIT_BYTES), self._path
        )
        return made


def _request(method: str, path: str, query: Mapping[str, str] | None, body: object) -> bytes:
    target = quote(path, safe=PATH_CHARACTERS)
    if query:
        target += f"?{urlencode(query)}"
    head = f"{method} {target} HTTP/1.1\r\nHost: engine\r\nUser-Agent: hakoiri-docker-guard\r\n"
    if body is None:
        return f"{head}Content-Length: 0\r\n\r\n".encode("ascii")
    content = json.dumps(body).encode("ascii")
    told = f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    return (head + told).encode("ascii") + content


def _answer(status: int, content: bytes) -> EngineAnswer:
    try:
        document = json.loads(content) if content.strip() else None
    except (ValueError, RecursionError):
        document = None
    if status < FIRST_ERROR_STATUS:
        return EngineAnswer(status, document)
    said = document.get("message") if isinstance(document, dict) else None
    reason = str(said or content.decode(errors="replace"))[:MESSAGE_LIMIT_CHARS]
    raise CallRefusedError("engine-refused", reason.strip(), status=min(status, 599))
