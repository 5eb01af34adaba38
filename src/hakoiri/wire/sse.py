"""Server-sent events as bytes, both ways, without I/O.

The format is that of the HTML standard, section 9.2 "Server-sent events". The decoder is for
streams whose sender is not trusted: a line and a block have a limit, and what exceeds it raises.
"""

from dataclasses import dataclass

COMMENT_KEEPALIVE = b": keep-alive\n\n"
"""A comment; readers skip it. Sent on idle streams so that dead peers are noticed."""


class SseError(Exception):
    """The stream is not server-sent events within the agreed bounds."""


@dataclass(frozen=True, slots=True)
class SseBlock:
    """One dispatched block. `id` and `event` are empty when the sender gave none."""

    id: str
    event: str
    data: str


def encode_block(*, number: int, event: str, data: str) -> bytes:
    """One block; `data` must hold no newline (JSON does not), `event` is one of our type names."""
    if "\n" in data or "\r" in data:
        raise SseError("data holds a line break; encode it as JSON first")
    return f"id: {number}\nevent: {event}\ndata: {data}\n\n".encode()


class SseDecoder:
    """Feed bytes, get blocks. Memory is bounded by `line_limit_bytes` plus one block."""

    def __init__(self, *, line_limit_bytes: int, block_limit_bytes: int | None = None) -> None:
        """Limit lines and blocks (by default alike); what exceeds them raises `SseError`."""
        self._line_limit = line_limit_bytes
        self._block_limit = block_limit_bytes or line_limit_bytes
        self._pending = bytearray()
        self._id = ""
        self._event = ""
        self._data: list[str] = []
        self._block_bytes = 0

    def feed(self, chunk: bytes) -> list[SseBlock]:
        """Take the next bytes; return the blocks they complete."""
        blocks: list[SseBlock] = []
        searched_to = len(self._pending)
        self._pending += chunk
        start = 0
        while (end := self._pending.find(b"\n", max(searched_to, start))) >= 0:
            if end - start > self._line_limit:
                self._refuse_line()
            line = bytes(self._pending[start:end]).removesuffix(b"\r")
            start = end + 1
            block = self._take_line(line)
            if block is not None:
                blocks.append(block)
        del self._pending[:start]
        if len(self._pending) > self._line_limit:
            self._refuse_line()
        return blocks

    def _refuse_line(self) -> None:
        self._pending.clear()
        raise SseError(f"a line is longer than {self._line_limit} bytes")

    def _take_line(self, line: bytes) -> SseBlock | None:
        if not line:
            return self._dispatch()
        if line.startswith(b":"):
            return None
        self._block_bytes += len(line)
        if self._block_bytes > self._block_limit:
            raise SseError(f"a block is longer than {self._block_limit} bytes")
        try:
            name, _, value = line.decode("utf-8").partition(":")
        except UnicodeDecodeError as error:
            raise SseError("a line is not UTF-8") from error
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id" and "\0" not in value:
            self._id = value
        return None

    def _dispatch(self) -> SseBlock | None:
        block = SseBlock(self._id, self._event, "\n".join(self._data)) if self._data else None
        self._id, self._event, self._data, self._block_bytes = "", "", [], 0
        return block
