from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
from tests.e2e.running import Hakoiri
from tests.engine import TestEngine
from tests.escape import recorder
from tests.escape.findings import RUNTIMES, Check, plain
from tests.escape.installation import Installation, installation

HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Play only the short attacks unless this directory was asked for: `make escape` does."""
    asked = (Path(argument.partition("::")[0]).resolve() for argument in config.args)
    if any(path.is_relative_to(HERE) for path in asked):
        return
    left = [
        item
        for item in items
        if item.path.is_relative_to(HERE) and item.get_closest_marker("short") is None
    ]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in set(left)]


class Tell(Protocol):
    def __call__(
        self, name: str, *, command: str, expected: str, seen: str, held: bool, area: str = ""
    ) -> None: ...


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Tell:
    """Tell one check of the report; the test fails if the attack was not held back."""

    def told(
        name: str, *, command: str, expected: str, seen: str, held: bool, area: str = ""
    ) -> None:
        mark = request.node.get_closest_marker("attack")
        check = Check(
            area=area or mark.args[0],
            runtime=recorder.runtime_of(request.node),
            name=name,
            command=command,
            expected=expected,
            seen=seen,
            held=held,
        )
        recorder.told.append(check)
        assert held, f"{recorder.OPEN}{name}: expected {expected}; seen {plain(seen)}"

    return told


@pytest.fixture(scope="session", params=RUNTIMES)
def runtime(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def place(
    runtime: str, engine: TestEngine, image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """A running server whose containers have this runtime, and a site outside."""
    root = tmp_path_factory.mktemp(f"escape-{runtime}")
    with installation(root, engine=engine, image=image, runtime=runtime) as made:
        yield made


@pytest.fixture(scope="session")
def server(place: Installation) -> Hakoiri:
    return place.server
