"""The container engine behind its socket: one call at a time, answers bounded.

Connections are kept while the engine is up; when it was started anew, the next call finds it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, Self

import aiohttp
from yarl import URL

from hakoiri.docker_guard.refusal import CallRefusedError

CALL_TIMEOUT_S: Final = 700.0
"""Longer than the longest grace of a stop; whoever calls the guard has limits of its own."""

ANSWER_LIMIT_BYTES: Final = 64 * 1024 * 1024
MESSAGE_LIMIT_CHARS: Final = 1000
FIRST_ERROR_STATUS: Final = 400


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
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the client; the engine is asked only when a call is made."""
        path = self._address.removeprefix("unix://")
        self._session = aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(path),
            timeout=aiohttp.ClientTimeout(total=CALL_TIMEOUT_S),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the client."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
    ) -> EngineAnswer:
        """Make one call. Raises `CallRefusedError` with the engine's own status and reason."""
        if self._session is None:
            raise RuntimeError("the engine's client is not open")
        url = URL.build(scheme="http", host="engine", path=path, query=query)
        try:
            async with self._session.request(
                method, url, json=body, allow_redirects=False
            ) as response:
                content = await _bounded(response.content)
                return _answer(response.status, content)
        except (aiohttp.ClientError, OSError) as error:
            said = str(error) or type(error).__name__
            raise CallRefusedError(
                "engine-away",
                f"the container engine at {self._address} does not answer ({said})",
                status=503,
            ) from error


async def _bounded(stream: aiohttp.StreamReader) -> bytes:
    content = bytearray()
    async for chunk in stream.iter_any():
        content += chunk
        if len(content) > ANSWER_LIMIT_BYTES:
            raise CallRefusedError("engine-answer", "the engine's answer is too long", status=502)
    return bytes(content)


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
