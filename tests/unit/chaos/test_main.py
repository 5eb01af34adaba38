import pytest
from tests.chaos.__main__ import HELP, read_arguments
from tests.chaos.schedule import Kind, plan


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--every", "0"], "--every"),
        (["--minutes", "nan"], "--minutes"),
        (["--seconds", "-5"], "--seconds"),
        (["--users", "0"], "--users"),
        (["--kinds", "weather"], "--kinds"),
        (["--seconds", "5", "--every", "6"], "a storm without a strike proves nothing"),
    ],
)
def test_a_storm_that_cannot_be_meant_is_refused_at_once(
    words: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        read_arguments(words)
    assert ended.value.code == 2
    assert named in capsys.readouterr().err


def test_a_storm_is_as_it_is_asked_for() -> None:
    _, weather = read_arguments(["--minutes", "5", "--seed", "17", "--users", "8"])
    assert (weather.seconds, weather.seed, weather.users, weather.kinds) == (300, 17, 8, ())
    _, weather = read_arguments(["--seconds", "90", "--kinds", "help"])
    assert (weather.seconds, weather.kinds) == (90, HELP)


def test_the_shortest_storm_that_is_taken_strikes_whatever_its_seed() -> None:
    for seed in range(200):
        assert plan(seed, kinds=[Kind("x")], seconds=6.0, every_s=6.0)
