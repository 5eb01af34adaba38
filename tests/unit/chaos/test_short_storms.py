from tests.chaos.disturbances import KINDS, kinds_of
from tests.chaos.schedule import plan
from tests.chaos.short_storms import SHORT, of_seed


def struck() -> list[set[str]]:
    found = []
    for weather in of_seed(None):
        kinds = kinds_of(is_shared=weather.is_shared, only=weather.kinds)
        strikes = plan(weather.seed, kinds=kinds, seconds=weather.seconds, every_s=weather.every_s)
        assert {strike.kind for strike in strikes} == {kind.name for kind in kinds}
        found.append({strike.kind for strike in strikes})
    return found


def test_the_short_storms_strike_all_that_there_is() -> None:
    assert set.union(*struck()) == {kind.name for kind in KINDS}


def test_one_of_them_is_of_a_server_alone_and_one_of_one_with_a_redis() -> None:
    assert [weather.is_shared for weather in SHORT] == [False, True]


def test_the_storm_of_a_seed_is_of_everything() -> None:
    (weather,) = of_seed(17)
    assert (weather.seed, weather.kinds) == (17, ())
