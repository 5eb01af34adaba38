"""Where in a trace something happens, and its form in a `traceparent` header. No I/O.

W3C Trace Context, level 1, section 3.2. What comes from outside is read strictly: one value of
version 00, of exactly that length, in lower case, with ids that are not zero.
"""

import re
from dataclasses import dataclass
from typing import Final

_TRACEPARENT: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})", re.ASCII)
_NO_TRACE: Final = "0" * 32
_NO_SPAN: Final = "0" * 16
_SAMPLED: Final = 1


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A span of a trace: 32 and 16 lower-case hexadecimal digits. `is_sampled`: it is recorded."""

    trace_id: str
    span_id: str
    is_sampled: bool = True

    @property
    def traceparent(self) -> str:
        """The header's value."""
        return f"00-{self.trace_id}-{self.span_id}-{int(self.is_sampled):02x}"


def parse_traceparent(value: str) -> TraceContext | None:
    """Read a header's value; None for one that is not sound."""
    found = _TRACEPARENT.fullmatch(value)
    if found is None or found[1] == _NO_TRACE or found[2] == _NO_SPAN:
        return None
    return TraceContext(found[1], found[2], is_sampled=bool(int(found[3], 16) & _SAMPLED))
