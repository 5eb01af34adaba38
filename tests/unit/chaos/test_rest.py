"""What a collector leaves is found while the servers live, before a stop could sweep it."""

from collections.abc import Callable
from typing import Any, cast

import pytest
from tests.chaos import rest
from tests.chaos.rest import grown, left_over
from tests.chaos.site import Site


class Server:
    """A server of which nobody asks but for its pool, and which containers it has."""

    def __init__(self, boxes: list[str]) -> None:
        self._boxes = boxes
        self.asked: list[str] = []
        self.api = self.server = self

    def boxes(self) -> list[str]:
        return self._boxes

    def call(self, method: str, path: str, body: Any = None) -> None:
        self.asked.append(f"{method} {path}")


class Place:
    """A site of one server."""

    def __init__(self, boxes: list[str]) -> None:
        self.server = Server(boxes)
        self.servers = [self.server]


def at_once(holds: Callable[[], bool], *, timeout_s: float) -> bool:
    return holds()


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the host shows; a test changes it."""
    shown: dict[str, Any] = {"held": {}, "absent": [], "holdings": {"proxy": {"socket": 3}}}
    monkeypatch.setattr(rest, "until", at_once)
    monkeypatch.setattr(rest, "end_forgotten", lambda _: None)
    monkeypatch.setattr(rest, "held_for_containers", lambda _: shown["held"])
    monkeypatch.setattr(rest, "absent", lambda _: shown["absent"])
    monkeypatch.setattr(rest, "holdings", lambda _: shown["holdings"])
    monkeypatch.setattr(rest, "sockets_held", lambda _: ["a socket"])
    return shown


def site() -> Site:
    return cast("Site", Place([]))


def test_where_all_is_gone_and_nobody_grew_nothing_is_found(seen: dict[str, Any]) -> None:
    assert left_over(site()) == []
    assert grown(site(), seen["holdings"]) == ([], [])


@pytest.mark.parametrize("kind", ["containers", "mounts", "the proxy's sockets"])
def test_what_no_collector_took_is_found_while_the_servers_live(
    seen: dict[str, Any], kind: str
) -> None:
    seen["held"] = {kind: ["c0123456789abcdef"]}
    (violation,) = left_over(site())
    assert violation.detail == f"{kind}, while the servers live: c0123456789abcdef"


def test_a_process_that_is_away_is_found(seen: dict[str, Any]) -> None:
    seen["absent"] = ["hakoiri.audit"]
    assert [one.detail for one in left_over(site())] == ["hakoiri.audit is not there"]


def test_who_grew_is_found_with_its_sockets(seen: dict[str, Any]) -> None:
    found, sockets = grown(site(), {"proxy": {"socket": 3 - rest.SLACK[""] - 1}})
    assert [one.rule for one in found] == ["flat"]
    assert sockets == ["a socket"]


def test_the_pool_is_put_down_for_the_look_and_is_as_it_was_after(seen: dict[str, Any]) -> None:
    place = Place([])
    grown(cast("Site", place), seen["holdings"])
    assert place.server.asked == ["PUT /v1/pool", "DELETE /v1/pool"]
