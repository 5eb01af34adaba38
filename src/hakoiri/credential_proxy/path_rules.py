"""Whether a request's path fits a rule's pattern, and whether the path is plain at all.

Both work on the bytes that are sent, so that policy, signer and upstream see the same path.
"""

import re
from functools import lru_cache
from typing import Final

PATH_LIMIT_CHARS: Final = 16 * 1024
SEGMENTS_LIMIT: Final = 256
_ANY_SEGMENTS: Final = "**"
_DOTS: Final = frozenset({".", ".."})
_PLAIN: Final = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*")
_ESCAPE: Final = re.compile(
    r"%(?![0-9A-Fa-f]{2})|%(?:[01][0-9A-Fa-f]|2[Ff]|5[Cc]|7[Ff])|%(?:25)+(?:00|2[EeFf]|5[Cc])"
)
_ESCAPED_BYTE: Final = re.compile(r"%[0-9A-Fa-f]{2}")
_ENCODED_UNRESERVED: Final = re.compile(
    r"%(?:2[DdEe]|3[0-9]|4[1-9A-Fa-f]|5[0-9AaFf]|6[1-9A-Fa-f]|7[0-9AaEe])"
)


def find_path_fault(path: str) -> str | None:
    """Tell what two servers might read differently in `path`, or None when it is plain.

    Refused are dot and empty segments, characters outside RFC 3986's `pchar`, and escapes that are
    malformed, that stand for a slash, a backslash or a control, that stand for a character that
    needs none (RFC 3986, section 2.3), or that hide a separator by being escaped once more. What
    follows a `;` is no part of a segment's name to servlet containers, so `..;` counts as `..`.
    """
    return _find_character_fault(path) or _find_segment_fault(path.split("/")[1:])


def _find_character_fault(path: str) -> str | None:
    if len(path) > PATH_LIMIT_CHARS:
        return f"the path is longer than {PATH_LIMIT_CHARS} characters"
    if _PLAIN.fullmatch(path) is None:
        return "the path holds a character that must be percent-encoded"
    if "%" in path and _ESCAPE.search(path):
        return "the path holds an escape that is malformed or hides a separator"
    if "%" in path and _ENCODED_UNRESERVED.search(path):
        return "the path encodes a character that needs no encoding"
    return None


def _find_segment_fault(segments: list[str]) -> str | None:
    if len(segments) > SEGMENTS_LIMIT:
        return f"the path has more than {SEGMENTS_LIMIT} segments"
    if "" in segments[:-1]:
        return "the path holds an empty segment"
    if any(segment.startswith(".") and _name_of(segment) in _DOTS for segment in segments):
        return "the path holds a dot segment"
    return None


def _name_of(segment: str) -> str:
    """Return a segment without its parameters, whose semicolon may be escaped."""
    return segment.partition(";")[0].partition("%3B")[0].partition("%3b")[0]


def is_matched(pattern: str, path: str) -> bool:
    """Whether a plain `path` fits `pattern` (see `hakoiri.wire.policy.PathPattern`).

    `%c3` and `%C3` are one byte (RFC 3986, section 6.2.2.1). Of a wildcard only the last one met is
    widened, as in any glob: the time is bounded by the product of the two lengths.
    """
    wanted, given = _segments_of(pattern), _with_upper_escapes(path).split("/")[1:]
    at = index = 0
    star: int | None = None
    star_index = 0
    while index < len(given):
        if at < len(wanted) and wanted[at] == _ANY_SEGMENTS:
            star, star_index = at, index
            at += 1
        elif at < len(wanted) and _fits(wanted[at], given[index]):
            at += 1
            index += 1
        elif star is not None:
            star_index += 1
            at, index = star + 1, star_index
        else:
            return False
    return all(segment == _ANY_SEGMENTS for segment in wanted[at:])


@lru_cache(maxsize=1024)
def _segments_of(pattern: str) -> tuple[str, ...]:
    return tuple(_with_upper_escapes(pattern).split("/")[1:])


def _with_upper_escapes(path: str) -> str:
    return _ESCAPED_BYTE.sub(lambda escape: escape[0].upper(), path) if "%" in path else path


def _fits(wanted: str, segment: str) -> bool:
    """Whether one segment fits one with `*` in it."""
    if "*" not in wanted:
        return wanted == segment
    first, *middle, last = wanted.split("*")
    if not segment.startswith(first):
        return False
    at = len(first)
    for part in middle:
        found = segment.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return len(segment) - at >= len(last) and segment.endswith(last)
