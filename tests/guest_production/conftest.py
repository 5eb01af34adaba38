from collections.abc import Sequence

import pytest
from tests.conftest import give_up
from tests.engine import TestEngine
from tests.guest.machine import Record, reason_against_guest
from tests.guest_production.machine import run_production


@pytest.fixture(scope="session")
def records(engine: TestEngine, image: str) -> Sequence[Record]:
    """What happened on one host for production, on which all is tried."""
    if reason := reason_against_guest():
        give_up(reason)
    return run_production(image, docker_host=engine.docker_host)
