"""What the many conversations of `endurance` do, so that whatever may grow has reason to.

Of four, one is left alone, frozen and collected with its files saved, and comes back into another
container when more have been; one has its container given up and comes back at once; one rests for
so long that it is frozen, and is thawed; one does nothing of the kind. The last two are deleted, of
the first two only the containers are given up in the end. Each is watched by somebody else, as by
a page that is open.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.request import urlopen

from tests.e2e.running import Hakoiri

PAUSE_S: Final = 1.0
IDLE_S: Final = 5.0
AGE_S: Final = 20.0
SCRAPE_S: Final = 15.0
WATCHED_TIMEOUT_S: Final = 60.0

SETTINGS: Final = {
    "HAKOIRI_CONTAINER__PAUSE_AFTER_S": f"{PAUSE_S:g}",
    "HAKOIRI_CONTAINER__IDLE_TIMEOUT_S": f"{IDLE_S:g}",
    "HAKOIRI_WARM_POOL__MIN": "1",
    "HAKOIRI_WARM_POOL__TARGET": "2",
    "HAKOIRI_WARM_POOL__MAX": "2",
    "HAKOIRI_WARM_POOL__MAX_AGE_S": f"{AGE_S:g}",
}
"""Short, so that containers are frozen, thawed, collected and rotated all the time."""

NO_POOL: Final = {
    "runtimes": {"runc": {"min": 0, "target": 0, "max": 0}},
    "max_age_s": AGE_S,
    "refills_at_once": 1,
    "preconnect": False,
}


class Watcher(threading.Thread):
    """Reads a conversation's events until it has seen the end of so many turns."""

    def __init__(self, server: Hakoiri, conversation: str, *, turns: int) -> None:
        super().__init__(name=f"watcher of {conversation}", daemon=True)
        self._server, self._conversation, self._left = server, conversation, turns
        self.failure: BaseException | None = None

    def run(self) -> None:
        """Read."""
        try:
            for event in self._server.api.follow(self._conversation):
                self._left -= event["type"] in ("result", "error")
                if not self._left:
                    return
        except Exception as error:  # noqa: BLE001 - told by `seen`
            self.failure = error

    def seen(self) -> None:
        """Wait for it; raise `RuntimeError` if it did not see them all."""
        self.join(WATCHED_TIMEOUT_S)
        if self.is_alive() or self._left or self.failure is not None:
            raise RuntimeError(f"{self.name} misses {self._left} ends of turns: {self.failure!r}")


@contextmanager
def scraped(server: Hakoiri, *, every_s: float = SCRAPE_S) -> Iterator[list[int]]:
    """Have `/metrics` read again and again meanwhile; yields the sizes of the pages in bytes.

    Raises `RuntimeError` in the end if one could not be read.
    """
    sizes: list[int] = []
    failures: list[OSError] = []
    over = threading.Event()
    url = f"http://127.0.0.1:{server.server.port}/metrics"

    def once() -> None:
        try:
            with urlopen(url, timeout=30) as answer:
                sizes.append(len(answer.read()))
        except OSError as error:
            failures.append(error)

    def scrape() -> None:
        while not over.wait(every_s):
            once()

    thread = threading.Thread(target=scrape, name="scraper", daemon=True)
    thread.start()
    try:
        yield sizes
    finally:
        over.set()
        thread.join()
    once()
    if failures:
        raise RuntimeError(f"{len(failures)} of the scrapes failed, the first with {failures[0]!r}")


def converse(server: Hakoiri, number: int) -> str | None:
    """Have one conversation; return it if it is left alone, to come back (`come_back`)."""
    kind = number % 4
    conversation = server.conversation()
    watcher = Watcher(server, conversation, turns=2 if kind == 2 else 1)
    watcher.start()
    _turn(server, conversation, f"run: echo {number} > written; cat written")
    place = f"/v1/conversations/{conversation}"
    content = os.urandom(4096)
    server.api.upload(f"{place}/workspace/files/put", iter([content]), size=len(content))
    if kind == 3:
        time.sleep(PAUSE_S + 0.5)
    command = {"argv": ["sh", "-c", "cat written > copied"]}
    ended = server.api.call("POST", f"{place}/workspace/exec", command)
    if ended["exit_code"] != 0:
        raise RuntimeError(f"conversation {number}: {ended}")
    _look_at(server, conversation, number)
    if kind == 2:
        _give_up(server, conversation)
        _turn(server, conversation, f"run: grep -x {number} written copied")
        _look_at(server, conversation, number)
    watcher.seen()
    if kind == 0:
        return conversation
    if kind == 2:
        _give_up(server, conversation)
    else:
        server.api.call("DELETE", place)
    return None


def come_back(server: Hakoiri, conversation: str, number: int) -> None:
    """Go on with a conversation whose container is gone; its files must be there again."""
    watcher = Watcher(server, conversation, turns=2)
    watcher.start()
    start = _turn(server, conversation, f"run: grep -x {number} written copied")
    if start == "live":
        raise RuntimeError(f"conversation {number} had its container yet")
    _look_at(server, conversation, number)
    watcher.seen()
    _give_up(server, conversation)


def _give_up(server: Hakoiri, conversation: str) -> None:
    """Remove the container; the conversation stays, with its files saved."""
    workspace = server.api.call("GET", f"/v1/conversations/{conversation}")["workspace_id"]
    server.api.call("DELETE", f"/v1/workspaces/{workspace}?files=save")


def _turn(server: Hakoiri, conversation: str, text: str) -> str:
    """Have a turn; return how its container was had."""
    events = server.turn(conversation, text)
    if events[-1]["type"] != "result":
        raise RuntimeError(f"{conversation}: {events[-1]}")
    return next(str(one["data"]["start"]) for one in events if one["type"] == "turn_started")


def _look_at(server: Hakoiri, conversation: str, number: int) -> None:
    place = f"/v1/conversations/{conversation}/workspace/files/copied"
    if server.api.download(place) != f"{number}\n".encode():
        raise RuntimeError(f"conversation {number}: the command's file is not there")
