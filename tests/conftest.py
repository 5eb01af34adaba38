import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from tests.engine import (
    TestEngine,
    default_engine,
    private_engine,
    reason_against_private_engine,
    remove_directory,
)
from tests.postgresql_server import PostgresqlServer, postgresql_server
from tests.remapped_engine import copy_image, remapped_engine
from tests.workers import GroupScheduling

from hakoiri.image.build import DEFAULT_CACHE_DIR, ensure_image

settings.register_profile("without a deadline", deadline=None)
settings.load_profile("without a deadline")
# how long an example takes is the machine's affair; what must be fast is measured by benchmarks


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a storm that failed be had again."""
    parser.addoption("--chaos-seed", type=int, help="the seed of the one storm of tests/chaos")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> GroupScheduling:
    """Let a file's tests stay with one worker, where there are several."""
    return GroupScheduling(config, log)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Tell each failure as it comes, not minutes later; only once, where there are workers."""
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None:
        config.pluginmanager.register(_FailuresAtOnce(terminal), "failures-at-once")


class _FailuresAtOnce:
    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._terminal = terminal

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            first_line = str(crash.message).partition("\n")[0][:300] if crash is not None else ""
            self._terminal.ensure_newline()
            self._terminal.write_line(f"{report.when} failed: {report.nodeid}: {first_line}")


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


@pytest.fixture(scope="session")
def image(engine: TestEngine) -> str:
    """The workspace image of these sources; built if the engine does not have it."""
    return ensure_image(
        source_root=Path(__file__).parents[1],
        docker_host=engine.docker_host,
        cache_dir=DEFAULT_CACHE_DIR,
        progress=print,
    )


@pytest.fixture(scope="session")
def remapped() -> Iterator[TestEngine]:
    """A private engine set up as `deployment/docker` says, with userns-remap."""
    if reason := reason_against_private_engine():
        give_up(reason)
    with remapped_engine() as own:
        yield TestEngine(docker_host=own.docker_host, owned=True)


@pytest.fixture(scope="session")
def remapped_image(remapped: TestEngine, engine: TestEngine, image: str) -> str:
    """The workspace image, copied there: that takes half a minute, building it some."""
    copy_image(image, source=engine.docker_host, target=remapped.docker_host)
    return image


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    """A PostgreSQL of our own."""
    made = Path(tempfile.mkdtemp(prefix="hakoiri-test-", dir="/var/tmp"))
    made.chmod(0o755)
    with postgresql_server(made) as server:
        yield server
    remove_directory(made)


@pytest.fixture
def passable() -> Iterator[Path]:
    """A directory that every user can pass to, for a container's root is nobody on the host."""
    made = Path(tempfile.mkdtemp(prefix="hakoiri-test-", dir="/var/tmp"))
    made.chmod(0o755)
    yield made
    remove_directory(made)


def give_up(reason: str) -> None:
    """Skip, but in CI fail: a protection that was not tested there is not there."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
