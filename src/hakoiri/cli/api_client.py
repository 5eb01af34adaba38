"""The command line's way to a running server: plain HTTP and server-sent events."""

import json
from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from http.client import HTTPException, HTTPResponse
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from hakoiri.cli.server_place import PlaceError, ServerPlace
from hakoiri.wire.sse import SseBlock, SseDecoder, SseError
from hakoiri.wire.terminal_types import TERMINAL_TYPES

if TYPE_CHECKING:
    from hakoiri.wire.problems import Problem

EVENT_LIMIT_BYTES: Final = 32 * 1024 * 1024
"""Our own server is trusted to send events within its limits; this is only a stop for mishaps."""

CHUNK_BYTES: Final = 65536


class ApiError(Exception):
    """The server refused or does not answer. `problem` is set when it refused properly."""

    def __init__(self, message: str, *, problem: "Problem | None" = None) -> None:
        """Keep the problem document, if there was one."""
        super().__init__(message)
        self.problem = problem


class BrokenOffError(ApiError):
    """The server's answer or stream broke off."""


class ApiClient:
    """Speaks to the server at `base_url`, with an API key where it needs one."""

    def __init__(self, base_url: str, *, key: str | None = None, timeout_s: float = 30) -> None:
        """`timeout_s` bounds each wait for the server, not a whole stream."""
        try:
            self._place = ServerPlace.parse(base_url)
        except PlaceError as error:
            raise ApiError(f"--url {base_url}: {error}") from error
        if key and not (key.isascii() and key.isprintable()):
            raise ApiError("--key (HAKOIRI_KEY): no API key has such characters")
        self._timeout_s = timeout_s
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Send one request; return the parsed JSON answer, or None if it is empty."""
        with closing(self._open(method, path, body)) as answer:
            return self._parsed(_read_all(answer))

    def download(self, path: str) -> bytes:
        """Return the bytes of one file."""
        with closing(self._open("GET", path, None)) as answer:
            return _read_all(answer)

    def chunks(
        self, path: str, *, told: dict[str, str] | None = None
    ) -> tuple[int | None, Generator[bytes, None, None]]:
        """Return a file's size and its bytes in pieces; `ApiError` if it breaks off.

        `told` gets the headers of the answer.
        """
        answer = self._open("GET", path, None)
        if told is not None:
            told |= dict(answer.headers.items())
        length = answer.headers.get("Content-Length")
        size = int(length) if length is not None else None

        def pieces() -> Generator[bytes, None, None]:
            received = 0
            with closing(answer):
                while chunk := _read_some(answer):
                    received += len(chunk)
                    yield chunk
            if size is not None and received != size:
                raise ApiError(f"only {received} of {size} bytes came")

        return size, pieces()

    def upload(self, path: str, pieces: Iterator[bytes], *, size: int | None) -> Any:
        """Put a file's bytes; without a size they are sent in chunks."""
        headers = {"Content-Type": "application/octet-stream"}
        if size is not None:
            headers["Content-Length"] = str(size)
        with closing(self._send("PUT", path, pieces, headers)) as answer:
            return self._parsed(_read_all(answer))

    def send(self, conversation_id: str, text: str) -> Iterator[dict[str, Any]]:
        """Post a message; yield the turn's events to its last. `ApiError` if that never comes."""
        path = f"{path_of_conversation(conversation_id)}/messages"
        opened = self._open("POST", path, {"text": text}, accept="text/event-stream")
        for event in self._events(opened):
            yield event
            if event["type"] in TERMINAL_TYPES:
                return
        raise BrokenOffError(
            "the server's stream ended before the turn did, which may go on; "
            f"`hakoiri conversation events {conversation_id}` shows it"
        )

    def follow(self, conversation_id: str, *, after: int = 0) -> Iterator[dict[str, Any]]:
        """Yield a conversation's events from after the given number on, until the server stops."""
        path = f"{path_of_conversation(conversation_id)}/events?after={after}"
        yield from self._events(self._open("GET", path, None, accept="text/event-stream"))

    def events(
        self, method: str, path: str, body: Any
    ) -> Generator[tuple[str, dict[str, Any]], None, None]:
        """Send a request; yield the name and data of each event of its answer."""
        with closing(self._open(method, path, body, accept="text/event-stream")) as answer:
            for block in _blocks(answer):
                yield block.event, self._parsed(block.data.encode())

    def _events(self, answer: HTTPResponse) -> Iterator[dict[str, Any]]:
        with closing(answer):
            for block in _blocks(answer):
                yield self._parsed(block.data.encode())

    def _parsed(self, raw: bytes) -> Any:
        try:
            return json.loads(raw) if raw else None
        except ValueError as error:
            raise ApiError(
                f"what answers at {self._place} is no Hakoiri server; see --url (HAKOIRI_URL)"
            ) from error

    def _open(
        self, method: str, path: str, body: Any, *, accept: str = "application/json"
    ) -> HTTPResponse:
        headers = {"Accept": accept}
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        return self._send(method, path, data, headers)

    def _send(
        self, method: str, path: str, data: bytes | Iterator[bytes] | None, headers: dict[str, str]
    ) -> HTTPResponse:
        connection = self._place.connection(timeout_s=self._timeout_s)
        headers = {"Connection": "close", **headers, **self._headers}
        try:
            connection.connect()
            # a server that refuses a body does not read it to its end, but has answered
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, path, body=data, headers=headers)
            answer = connection.getresponse()
        except (OSError, HTTPException) as error:
            connection.close()
            raise ApiError(self._unanswered(error)) from error
        if answer.status >= 400:  # noqa: PLR2004 - RFC 9110: client and server errors
            raise _refusal(answer)
        if answer.status >= 300:  # noqa: PLR2004 - Hakoiri itself sends nobody elsewhere
            answer.close()
            there = answer.headers.get("Location", "elsewhere")
            raise ApiError(f"{self._place} sends on to {there}; name the server itself with --url")
        return answer

    def _unanswered(self, error: Exception) -> str:
        if isinstance(error, TimeoutError):
            return (
                f"the server at {self._place} did not answer within {self._timeout_s:g} s; "
                "its /ready tells why a turn cannot start"
            )
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return (
            f"no server answers at {self._place} ({why}); start one with `hakoiri serve`, "
            "or name another with --url (HAKOIRI_URL)"
        )


def _read_some(answer: HTTPResponse) -> bytes:
    try:
        return answer.read1(CHUNK_BYTES)
    except (OSError, HTTPException) as error:
        raise BrokenOffError(f"the server's stream broke off: {error}") from error


def _read_all(answer: HTTPResponse) -> bytes:
    try:
        return answer.read()
    except (OSError, HTTPException) as error:
        raise BrokenOffError(f"the server's answer broke off: {error}") from error


def _blocks(answer: HTTPResponse) -> Iterator[SseBlock]:
    decoder = SseDecoder(line_limit_bytes=EVENT_LIMIT_BYTES)
    while chunk := _read_some(answer):
        try:
            yield from decoder.feed(chunk)
        except SseError as error:
            raise ApiError(f"the server's stream cannot be read: {error}") from error


def path_of_conversation(conversation_id: str) -> str:
    """Return where the API has a conversation."""
    return f"/v1/conversations/{quote(conversation_id, safe='')}"


def _refusal(answer: HTTPResponse) -> ApiError:
    from hakoiri.wire.problems import Problem  # noqa: PLC0415 - slow; what goes well needs none

    with closing(answer):
        raw = _read_all(answer)
    try:
        problem = Problem.model_validate_json(raw)
    except ValueError:
        reasons = "; ".join(_reasons(raw)) or "without a reason"
        return ApiError(f"the server answered {answer.status}: {reasons}")
    return ApiError(problem.detail or problem.title, problem=problem)


def _reasons(raw: bytes) -> list[str]:
    """Return why the server is not ready, if that is what it said."""
    try:
        said = json.loads(raw)
    except ValueError:
        return []
    reasons = said.get("reasons") if isinstance(said, dict) else None
    return [str(reason) for reason in reasons] if isinstance(reasons, list) else []
