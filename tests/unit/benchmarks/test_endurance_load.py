import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any, cast

import pytest
from benchmarks.endurance_load import Watcher, scraped
from tests.e2e.running import Hakoiri
from tests.waiting import until

from hakoiri.cli.demo.server_process import free_port


def server_of(events: list[str]) -> Hakoiri:
    """A server whose one conversation has these events, after which its stream ends."""

    def follow(conversation: str) -> Iterator[dict[str, Any]]:
        return iter([{"type": kind} for kind in events])

    return cast("Hakoiri", SimpleNamespace(api=SimpleNamespace(follow=follow)))


def watched(events: list[str], *, turns: int) -> Watcher:
    watcher = Watcher(server_of(events), "c-1", turns=turns)
    watcher.start()
    return watcher


def test_who_saw_the_end_of_each_turn_is_content() -> None:
    watched(["user_message", "result", "user_message", "error"], turns=2).seen()


def test_who_missed_one_says_so() -> None:
    with pytest.raises(RuntimeError, match="misses 1 ends"):
        watched(["user_message", "result"], turns=2).seen()


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"metrics")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def at(port: int) -> Hakoiri:
    return cast("Hakoiri", SimpleNamespace(server=SimpleNamespace(port=port)))


def test_pages_are_read_again_and_again() -> None:
    with HTTPServer(("127.0.0.1", 0), Page) as pages:
        threading.Thread(target=pages.serve_forever).start()
        with scraped(at(pages.server_port), every_s=0.01) as sizes:
            until(lambda: sizes[:2] == [7, 7])
        pages.shutdown()


def test_a_page_that_could_not_be_read_is_told() -> None:
    with pytest.raises(RuntimeError, match="1 of the scrapes failed"), scraped(at(free_port())):
        pass
