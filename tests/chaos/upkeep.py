"""Servers that ended by themselves: started again, as an init system would, and judged."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from tests.chaos.hits import within
from tests.chaos.site import Begun, Site
from tests.e2e.running import Hakoiri

SERVES: Final = "Hakoiri serves http"
"""What `hakoiri serve` says when all its processes serve."""

USAGE: Final = 2
FAULTS_LIMIT: Final = 5
"""One that cannot start ends again and again; the first few tell as much as all."""


def is_fault(code: int, *, served: bool, was_struck: bool) -> bool:
    """Whether a server may not end by itself like this.

    A start that meets what is away may fail, for an init system to try again
    (docs/operations/recovery.md). It never fails as if settings were wrong, with which nobody tries
    again; and one that served keeps its processes up, whatever is struck.
    """
    return served or code in (0, USAGE) or code < 0 or not was_struck


@dataclass(frozen=True, slots=True)
class Upkeep:
    """Looks after the servers of a site; `tell` is for the time line."""

    place: Site
    tell: Callable[[str], None]

    def look(self) -> None:
        """Start each server again that ended by itself; a fault is noted at the site."""
        for one in self.place.servers:
            code = one.server.exit_code
            if code is not None:
                self._again(one, code)

    def _again(self, one: Hakoiri, code: int) -> None:
        begun = self.place.begun.get(one.root, Begun(datetime.min.replace(tzinfo=UTC)))
        said = one.server.log.read_bytes()[begun.offset :].decode(errors="replace")
        served = SERVES in said
        was_struck = bool(within(self.place.hits, begun.at, datetime.now(UTC)))
        told = f"the server had ended with {code}, {'when it served' if served else 'at its start'}"
        self.tell(f"{told}, and is started again")
        is_one = is_fault(code, served=served, was_struck=was_struck)
        if is_one and len(self.place.faults) < FAULTS_LIMIT:
            last = said.strip().rpartition("\n")[2]
            self.place.faults.append(f"{told}; its last line: {last[:500]}")
        self.place.begin(one)
