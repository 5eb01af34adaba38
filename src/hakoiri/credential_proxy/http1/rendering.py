"""The bytes of heads, chunks and ends."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

Headers = Iterable[tuple[str, str]]

LAST_CHUNK: Final = b"0\r\n\r\n"
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
ESTABLISHED: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"

_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}


def render_request_head(method: str, target: str, headers: Headers) -> bytes:
    """Return a request's head; the text was checked to hold no line break."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1")


def render_answer_head(status: int, headers: Headers) -> bytes:
    """Return an answer's head, with the phrase that goes with `status`."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
    return f"HTTP/1.1 {status} {_PHRASES.get(status, '')}\r\n{lines}\r\n".encode("latin-1")


def render_chunk(data: bytes) -> bytes:
    """Return `data`, which is not empty, as one chunk (RFC 9112, section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def render_last_chunk(trailers: Headers) -> bytes:
    """Return the last chunk and the trailer section."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in trailers])
    return f"0\r\n{lines}\r\n".encode("latin-1")
