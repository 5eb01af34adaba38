from pathlib import Path
from typing import Any, cast

import pytest
from tests.chaos.disturbances import (
    DISTURBANCES,
    KINDS,
    UnknownKindError,
    kinds_by,
    kinds_of,
    slug,
)
from tests.chaos.hits import NOBODY
from tests.chaos.schedule import plan
from tests.chaos.site import Site
from tests.chaos.storm import Weather
from tests.e2e.running import prepare
from tests.redis_server import RedisServer

from hakoiri.cli.demo.server_process import free_port


def test_every_kind_is_named_by_one_word_of_a_command_line() -> None:
    words = [slug(kind) for kind in KINDS]
    assert len({*words}) == len(KINDS)
    for word, kind in zip(words, KINDS, strict=True):
        assert not {*word} & {*" ',\""}
        assert kinds_by(word) == (kind,) == kinds_by(kind.name)


def test_a_word_stands_for_all_that_is_done_to_one_thing() -> None:
    assert [kind.name for kind in kinds_by("agents-cli")] == ["agent's CLI"]
    assert [kind.name for kind in kinds_by("store")] == ["store killed", "store frozen"]
    assert [kind.name for kind in kinds_by("server")] == ["server"], "it is a name itself"
    with pytest.raises(UnknownKindError, match=r"'moon'; there is container, "):
        kinds_by("moon")


def test_a_storm_of_some_strikes_nothing_else() -> None:
    kinds = kinds_of(is_shared=False, only=("agent", "store"))
    assert {strike.kind for strike in plan(1, kinds=kinds, seconds=60, every_s=2)} == {
        "agent",
        "store killed",
        "store frozen",
    }
    assert kinds_of(is_shared=True) == KINDS
    assert not [kind for kind in kinds_of(is_shared=False) if kind.name.startswith("redis")]


@pytest.mark.parametrize(
    ("seed", "kinds", "is_shared"),
    [(1, (), False), (2, (), True), (1, ("redis",), True), (3, ("agent", "redis-frozen"), True)],
)
def test_there_is_a_redis_where_one_is_to_be_struck(
    seed: int,
    kinds: tuple[str, ...],
    is_shared: bool,  # noqa: FBT001 - parametrized
) -> None:
    assert Weather(seed, kinds=kinds).is_shared == is_shared


def test_several_servers_have_a_redis() -> None:
    assert Weather(1, servers=2).is_shared


def test_a_redis_that_is_away_already_is_struck_by_nothing_else(tmp_path: Path) -> None:
    nowhere = cast("Any", None)
    place = Site(nowhere, nowhere, RedisServer(tmp_path, free_port()), (), {})
    frozen = DISTURBANCES["redis frozen"]
    assert frozen.begin(place, 0) == NOBODY
    assert frozen.end is not None
    assert frozen.end(place) == NOBODY
    assert DISTURBANCES["redis emptied"].begin(place, 0) == "it does not answer"


def test_a_strike_hits_either_of_two_servers(tmp_path: Path) -> None:
    nowhere = cast("Any", None)
    servers = tuple(prepare(tmp_path, docker_host="unix:///nobody.test") for _ in range(2))
    place = Site(nowhere, nowhere, None, servers, {})
    assert [place.struck(pick) for pick in range(4)] == [*servers, *servers]
