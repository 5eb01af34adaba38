"""HTTP over a Unix socket that somebody else made: bounded requests, problems as errors."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import aiohttp
from pydantic import BaseModel, ValidationError

from hakoiri.wire.problems import Problem

ANSWER_LIMIT_BYTES: Final = 1024 * 1024
"""No answer of an agent or the proxy but an event stream is longer."""

Answer = TypeVar("Answer", bound=BaseModel)


class UnixHttpError(Exception):
    """The peer does not answer, or not as agreed. `problem` is set when it refused properly."""

    def __init__(self, message: str, *, problem: Problem | None = None) -> None:
        """Keep the peer's problem document, if it gave one."""
        super().__init__(message)
        self.problem = problem


class UnixHttpAwayError(UnixHttpError):
    """Nobody answers at the socket, or not to the end."""


def unix_session(
    path: str, *, connect_timeout_s: float, keep_idle_s: float
) -> aiohttp.ClientSession:
    """Return a session whose every connection goes to the socket at `path`.

    One that was idle for `keep_idle_s` is not used again; the peer must hold it open for longer.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.UnixConnector(path=path, keepalive_timeout=keep_idle_s),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout_s),
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
    )


@asynccontextmanager
async def exchange(
    session: aiohttp.ClientSession,
    method: str,
    path: str,
    *,
    body: BaseModel | None = None,
    timeout_s: float | None,
) -> AsyncIterator[aiohttp.ClientResponse]:
    """Send one request; yield the answer's head if it is a success, else raise `UnixHttpError`."""
    headers = {"Content-Type": "application/json"} if body is not None else {}
    try:
        async with session.request(
            method,
            f"http://socket{path}",
            data=body.model_dump_json() if body is not None else None,
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=5),
            allow_redirects=False,
        ) as response:
            if not response.ok:
                raise _refusal(response.status, await read_bounded(response))
            yield response
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise UnixHttpAwayError(str(error) or type(error).__name__) from error


async def read_bounded(
    response: aiohttp.ClientResponse, *, limit_bytes: int = ANSWER_LIMIT_BYTES
) -> bytes:
    """Read a whole answer; `UnixHttpError` when it is longer than `limit_bytes`."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > limit_bytes:
            raise UnixHttpError(f"the answer is longer than {limit_bytes} bytes")
    return bytes(body)


async def call(
    session: aiohttp.ClientSession,
    method: str,
    path: str,
    *,
    answer: type[Answer],
    body: BaseModel | None = None,
    timeout_s: float,
) -> Answer:
    """Send one request and parse its answer."""
    async with exchange(session, method, path, body=body, timeout_s=timeout_s) as response:
        raw = await read_bounded(response)
    try:
        return answer.model_validate_json(raw)
    except ValidationError as error:
        raise UnixHttpError(f"the answer to {method} {path} is not as agreed") from error


def _refusal(status: int, body: bytes) -> UnixHttpError:
    try:
        problem = Problem.model_validate(json.loads(body))
    except (ValueError, ValidationError, RecursionError):
        return UnixHttpError(f"refused with status {status}")
    return UnixHttpError(problem.detail or problem.title, problem=problem)
