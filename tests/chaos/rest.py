"""A site at rest: no container is left while its servers live, and no process has grown."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final

from tests.chaos.aftermath import until
from tests.chaos.forgotten import end_forgotten
from tests.chaos.held import held_for_containers
from tests.chaos.host_state import absent, holdings, sockets_held
from tests.chaos.invariants import Violation, flat, leftovers
from tests.chaos.site import Site

from hakoiri.cli.api_client import ApiError
from hakoiri.host.adapters.obstore_objects import REQUESTS_AT_ONCE

Holdings = Mapping[str, Mapping[str, int]]

GONE_TIMEOUT_S: Final = 300.0
CLOSED_TIMEOUT_S: Final = 60.0
"""For what goes with the last container: sockets, mounts, a process that is just started again.

Longer than from one look of the collector to the next, which takes up what could not be removed;
shorter than the grace of strays: what a removal forgot is found.
"""

IDLE_TIMEOUT_S: Final = 150.0
"""Longer than any pool keeps a connection that nobody uses (the store's: 90 s)."""

DEFAULT_POOL: Final = min(32, (os.cpu_count() or 1) + 4)
"""Of `asyncio.to_thread`: what `ThreadPoolExecutor` takes where nothing is said."""

SLACK: Final = {"": 4, "threads": REQUESTS_AT_ONCE + DEFAULT_POOL + 4, "database files": 12}
"""A connection kept open comes and goes. Threads belong to pools, which fill up and are bounded:
the store's, asyncio's own, a few of libraries. So do the files of the database: two for each of
five connections, and SQLite may close one later."""

NO_POOL: Final = {
    "runtimes": {"runc": {"min": 0, "target": 0, "max": 0}},
    "max_age_s": 900,
    "refills_at_once": 1,
    "preconnect": True,
}


def warm_up(place: Site) -> None:
    """Let everything happen once that is made at its first use."""
    api = place.server.api
    made = api.call("POST", "/v1/conversations", {})["id"]
    list(api.send(made, "run: echo warm > warm"))
    api.call("DELETE", f"/v1/conversations/{made}")


@contextmanager
def no_pool(place: Site) -> Iterator[None]:
    """Keep no warm container meanwhile."""
    api = place.server.api
    api.call("PUT", "/v1/pool", NO_POOL)
    try:
        yield
    finally:
        with suppress(ApiError):
            api.call("DELETE", "/v1/pool")


def left_over(place: Site) -> list[Violation]:
    """Return what the servers' own collectors leave while they live; there is no pool.

    Conversations that are not used keep no container (`site.SETTINGS`).
    """
    until(lambda: not any(one.boxes() for one in place.servers), timeout_s=GONE_TIMEOUT_S)
    end_forgotten(place)
    until(lambda: not any(held_for_containers(place).values()), timeout_s=CLOSED_TIMEOUT_S)
    found = leftovers(held_for_containers(place), while_what="while the servers live")
    until(lambda: not absent(place), timeout_s=CLOSED_TIMEOUT_S)
    return found + [Violation("flat", f"{name} is not there") for name in absent(place)]


def at_rest(place: Site) -> tuple[Holdings, list[Violation]]:
    """Return what the processes hold while there is no container at all, and what there is yet."""
    with no_pool(place):
        found = left_over(place)
        return holdings(place), found


def grown(place: Site, before: Holdings) -> tuple[list[Violation], list[str]]:
    """Return what is left, or held too much when pools have closed what is not used.

    With it, the sockets of processes that hold too much, for whom they may explain it.
    """
    with no_pool(place):
        left = left_over(place)
        until(lambda: not flat(before, holdings(place), slack=SLACK), timeout_s=IDLE_TIMEOUT_S)
        found = flat(before, holdings(place), slack=SLACK)
        return left + found, sockets_held(place) if found else []
