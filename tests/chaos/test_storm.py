"""Short storms in which everything may die; whatever they break is a fault of the product."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.chaos.site import engine_with
from tests.chaos.storm import Weather, rage
from tests.conftest import give_up
from tests.engine import PrivateEngine, TestEngine, reason_against_private_engine

pytestmark = [pytest.mark.engine, pytest.mark.root, pytest.mark.timeout(2400)]

SEEDS = (1, 2)
SECONDS = 80.0
"""Long enough that everything is struck once."""


@pytest.fixture(scope="module")
def own_engine(engine: TestEngine, image: str) -> Iterator[PrivateEngine]:
    if reason := reason_against_private_engine():
        give_up(reason)
    with engine_with(image, image_from=engine.docker_host) as own:
        yield own


def test_nothing_is_lost_doubled_or_left_after_a_storm(
    chaos_seed: int, own_engine: PrivateEngine, image: str, tmp_path: Path
) -> None:
    weather = Weather(chaos_seed, SECONDS)
    outcome = rage(tmp_path, weather, engine=own_engine, image=image, say=print)
    assert not outcome.violations, outcome.told()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "chaos_seed" in metafunc.fixturenames:
        given = metafunc.config.getoption("--chaos-seed")
        metafunc.parametrize("chaos_seed", SEEDS if given is None else (given,))
