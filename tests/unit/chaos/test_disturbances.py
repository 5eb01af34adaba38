import pytest
from tests.chaos.disturbances import KINDS, UnknownKindError, kinds_by, kinds_of, slug
from tests.chaos.schedule import plan
from tests.chaos.storm import Weather


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
