"""How a user namespace numbers users: `/proc/PID/uid_map` and `gid_map` (user_namespaces(7))."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

LINES_LIMIT: Final = 340
"""The kernel takes no more (user_namespaces(7))."""

_LINE: Final = re.compile(r" *([0-9]{1,10}) +([0-9]{1,10}) +([0-9]{1,10})")


@dataclass(frozen=True, slots=True)
class IdRange:
    """`count` ids from `inside` on are, outside, those from `outside` on."""

    inside: int
    outside: int
    count: int


WHOLE: Final = (IdRange(0, 0, 2**32 - 1),)
"""What a process shows whose ids are the host's own."""


def parse_id_map(text: str) -> tuple[IdRange, ...]:
    """Read such a file. Raises `ValueError` if it is something else, or longer than any can be."""
    lines = text.splitlines()
    if len(lines) > LINES_LIMIT:
        raise ValueError(f"an id map of more than {LINES_LIMIT} lines")
    found = [_LINE.fullmatch(line) for line in lines]
    ranges = tuple(IdRange(int(one[1]), int(one[2]), int(one[3])) for one in found if one)
    if len(ranges) != len(lines):
        raise ValueError("an id map has three numbers in each line")
    return ranges


def outside_id(ranges: Sequence[IdRange], inside: int) -> int | None:
    """Return what an id is outside; None if the namespace does not have it."""
    for one in ranges:
        if one.inside <= inside < one.inside + one.count:
            return one.outside + inside - one.inside
    return None
