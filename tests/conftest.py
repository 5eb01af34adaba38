import os
from collections.abc import Iterator

import pytest
from tests.engine import (
    TestEngine,
    default_engine,
    private_engine,
    reason_against_private_engine,
)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def engine() -> Iterator[TestEngine]:
    """An engine with both runtimes; where there can be none, CI fails and a laptop skips."""
    found = default_engine()
    if found is not None:
        yield found
        return
    if reason := reason_against_private_engine():
        give_up(reason)
    with private_engine() as own:
        yield TestEngine(docker_host=own.docker_host, owned=True)


def give_up(reason: str) -> None:
    """Skip, but in CI fail: a protection that was not tested there is not there."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
