from collections.abc import Iterator

import pytest
from tests.compose.stack import Stack, stack
from tests.engine import TestEngine
from tests.trace_receiver import trace_receiver


@pytest.fixture(scope="session")
def running(engine: TestEngine, image: str) -> Iterator[Stack]:
    """One stack for all tests of it."""
    # on all addresses: that of the stack's network is the host's only once the network is made
    with (
        trace_receiver("0.0.0.0") as collector,
        stack(engine.docker_host, workspace_image=image, collector=collector) as made,
    ):
        yield made
