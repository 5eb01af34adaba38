"""Short storms in which everything may die; whatever they break is a fault of the product."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.chaos.short_storms import of_seed
from tests.chaos.site import engine_with
from tests.chaos.storm import Weather, rage
from tests.conftest import give_up
from tests.engine import PrivateEngine, TestEngine, reason_against_private_engine

pytestmark = [pytest.mark.engine, pytest.mark.root, pytest.mark.timeout(2400)]


@pytest.fixture(scope="module")
def own_engine(engine: TestEngine, image: str) -> Iterator[PrivateEngine]:
    if reason := reason_against_private_engine():
        give_up(reason)
    with engine_with(image, image_from=engine.docker_host) as own:
        yield own


def test_nothing_is_lost_doubled_or_left_after_a_storm(
    weather: Weather, own_engine: PrivateEngine, image: str, tmp_path: Path
) -> None:
    outcome = rage(tmp_path, weather, engine=own_engine, image=image, say=print)
    assert not outcome.violations, outcome.told()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "weather" in metafunc.fixturenames:
        storms = of_seed(metafunc.config.getoption("--chaos-seed"))
        metafunc.parametrize("weather", storms, ids=[str(weather.seed) for weather in storms])
