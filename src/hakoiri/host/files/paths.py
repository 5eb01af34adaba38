"""Relative paths inside a workspace: raw bytes on Linux, unambiguous printable text elsewhere.

A file name on Linux is any bytes without NUL and slash. As text, bytes that are not UTF-8, control
and direction characters, and `%` itself are written `%XX`, so each path has exactly one text, the
text can be printed safely, and nothing is lost.
"""

import re
from typing import Literal

from hakoiri.host.files.ports import FilesError

Root = Literal["workspace", "home"]
"""Which of the two trees of a workspace a path belongs to."""

PATH_LIMIT_BYTES = 4096
"""Linux's PATH_MAX; a longer path cannot be named in one system call by the agent either."""

NAME_LIMIT_BYTES = 255
"""Linux's NAME_MAX."""

TARGET_LIMIT_BYTES = 4095
"""What symlink(2) accepts."""

REPORTED_PATH_LIMIT_CHARS = 1000
"""In reports for people a longer path is cut, so that a hundred of them stay readable."""

# Controls, line separators and direction marks could forge lines in a log or a terminal; lone
# surrogates are how Python shows bytes that are not UTF-8.
_ESCAPED = re.compile("[%\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\udc80-\udcff]")
_ESCAPE = re.compile(rb"%([0-9A-F]{2})")


class PathError(FilesError):
    """This is not a path inside a workspace."""


def text_of(raw: bytes) -> str:
    """Return the one printable text of a path or link target."""
    text = raw.decode("utf-8", "surrogateescape")
    return _ESCAPED.sub(_percent, text)


def bytes_of(text: str) -> bytes:
    """Return the bytes whose `text_of` is `text`; `PathError` if there are none."""
    try:
        raw = text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise PathError("a path holds characters that no UTF-8 has") from error
    if b"%" in raw:
        raw = _ESCAPE.sub(lambda match: bytes.fromhex(match[1].decode()), raw)
    if text_of(raw) != text:
        raise PathError(f"{text[:200]!r} is not the canonical text of a path; write %25 for %")
    return raw


def check_path(raw: bytes) -> bytes:
    """Return `raw` if it is a relative path of plain components; else `PathError`."""
    if len(raw) > PATH_LIMIT_BYTES:
        raise PathError(f"a path is longer than {PATH_LIMIT_BYTES} bytes")
    for name in raw.split(b"/"):
        if name in (b"", b".", b".."):
            raise PathError(
                f"{reported(raw)!r}: a path must be relative, without empty, '.' or '..' parts"
            )
        if b"\0" in name or len(name) > NAME_LIMIT_BYTES:
            raise PathError(f"{reported(raw)!r}: a name holds NUL or is too long")
    return raw


def check_target(raw: bytes) -> bytes:
    """Return `raw` if a symlink can hold it; else `PathError`. It is never followed."""
    if not raw or b"\0" in raw or len(raw) > TARGET_LIMIT_BYTES:
        raise PathError(f"a symlink's target must have 1 to {TARGET_LIMIT_BYTES} bytes and no NUL")
    return raw


def parent_of(path: bytes) -> bytes:
    """Return the directory that holds `path`; empty for the root itself."""
    return path.rpartition(b"/")[0]


def reported(raw: bytes) -> str:
    """Return a path for people: printable, and cut when absurdly long."""
    text = text_of(raw)
    if len(text) > REPORTED_PATH_LIMIT_CHARS:
        return text[:REPORTED_PATH_LIMIT_CHARS] + "…"
    return text


def _percent(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "surrogateescape"))
