"""Running a command in a box from here: its output to ours, its exit code to ours."""

import os
import sys
from codecs import getincrementaldecoder
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, Protocol

from hakoiri.cli import exit_codes
from hakoiri.cli.api_client import ApiClient, ApiError
from hakoiri.cli.plain_text import plain
from hakoiri.cli.screen import complain, show_json
from hakoiri.cli.waiting import waiting
from hakoiri.wire.base64_text import decode, encode
from hakoiri.wire.command_limits import OUTPUT_LIMIT_MAX_BYTES

DOCUMENT_LIMIT_BYTES: Final = 8 * 1024 * 1024
"""What is held in memory to be shown as one document."""

SIGNAL_CODES: Final = 128


@dataclass(frozen=True, slots=True)
class CommandLine:
    """What is to be run; `stdin` None means no input."""

    argv: list[str]
    directory: str
    environment: Mapping[str, str]
    stdin: bytes | None
    timeout_s: float

    def body(self, *, output_limit_bytes: int) -> dict[str, Any]:
        """Return it as the API takes it."""
        return {
            "argv": self.argv,
            "directory": self.directory,
            "environment": dict(self.environment),
            "stdin": None if self.stdin is None else encode(self.stdin),
            "encoding": "base64",
            "timeout_s": self.timeout_s,
            "output_limit_bytes": output_limit_bytes,
        }


class Sink(Protocol):
    """Where one of the command's streams goes."""

    def write(self, raw: bytes) -> None:
        """Take some bytes."""


def run_command(api: ApiClient, path: str, line: CommandLine, *, as_json: bool, raw: bool) -> int:
    """Run it; return the exit code for this process. Raises `ApiError`."""
    held = {"stdout": Held(), "stderr": Held()}
    sinks: dict[str, Sink] = (
        dict(held)
        if as_json
        else {"stdout": sink_for(sys.stdout, raw=raw), "stderr": sink_for(sys.stderr, raw=raw)}
    )
    limit_bytes = DOCUMENT_LIMIT_BYTES if as_json else OUTPUT_LIMIT_MAX_BYTES
    try:
        end = _follow(api, path, line.body(output_limit_bytes=limit_bytes), sinks)
    except KeyboardInterrupt:
        return exit_codes.INTERRUPTED
    except BrokenPipeError:
        # the interpreter would write what is left at its exit, and fail again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exit_codes.BROKEN_PIPE
    if as_json:
        show_json(end | {name: one.text() for name, one in held.items()})
    elif end["timed_out"]:
        complain("", f"the command was killed after {line.timeout_s:g} s")
    elif end["output_cut"]:
        complain("", f"output over {limit_bytes} bytes was dropped")
    return exit_code(end)


def _follow(
    api: ApiClient, path: str, body: dict[str, Any], sinks: Mapping[str, Sink]
) -> dict[str, Any]:
    # Closing the stream, for whatever reason, kills the command.
    with closing(api.events("POST", f"{path}/exec", body)) as events, ExitStack() as shown:
        shown.enter_context(waiting("waiting for the box"))
        for event, data in events:
            shown.close()
            if event in sinks:
                sinks[event].write(decode(data["base64"]))
            elif event == "exit":
                return data
            elif event == "error":
                raise ApiError(plain(data["text"]))
    raise ApiError("the server's stream ended before the command did; it may have been killed")


def exit_code(end: Mapping[str, Any]) -> int:
    """Return the code that tells the command's end."""
    if end["timed_out"]:
        return exit_codes.TIMED_OUT
    if end["signal"] is not None:
        return SIGNAL_CODES + int(end["signal"])
    return int(end["exit_code"])


class Held:
    """Keeps a stream for a document."""

    def __init__(self) -> None:
        self._raw = bytearray()

    def write(self, raw: bytes) -> None:
        """Take some bytes."""
        self._raw += raw

    def text(self) -> str:
        """Return all as text; what is no UTF-8 becomes U+FFFD."""
        return self._raw.decode("utf-8", "replace")


class Bytes:
    """Passes every byte on as it is."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out

    def write(self, raw: bytes) -> None:
        """Write and flush."""
        self._out.write(raw)
        self._out.flush()


class HarmlessText:
    """Shows a box's words on a terminal without letting them steer it."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._decoder = getincrementaldecoder("utf-8")("replace")

    def write(self, raw: bytes) -> None:
        """Write what is printable of it."""
        self._out.write(plain(self._decoder.decode(raw)).encode())
        self._out.flush()


def sink_for(stream: Any, *, raw: bool) -> Sink:
    """Return the way to one of our own streams: harmless text for a terminal, else bytes."""
    if stream.isatty() and not raw:
        return HarmlessText(stream.buffer)
    return Bytes(stream.buffer)
