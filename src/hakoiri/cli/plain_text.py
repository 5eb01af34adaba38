"""Text from a container made harmless for a terminal, purely."""

import re
from typing import Final

UNPRINTABLE: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]"
)
"""Control characters but tab and line feed, line separators, and the bidirectional overrides."""


def plain(text: str) -> str:
    r"""Return the text with control characters shown as `\x1b` instead of sent."""
    return UNPRINTABLE.sub(lambda found: f"\\x{ord(found.group()):02x}", text)


def plain_line(text: str) -> str:
    """Return the text as one line, from which no other can be forged."""
    return plain(text).replace("\n", "\\x0a").replace("\t", "\\x09")
