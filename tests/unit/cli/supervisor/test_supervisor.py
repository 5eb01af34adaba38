import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint

from hakoiri.cli.supervisor.process import ProcessSpec
from hakoiri.cli.supervisor.supervisor import Supervised, Supervisor, is_ready_at_once

pytestmark = [pytest.mark.anyio, pytest.mark.root]

PROGRAM = """
import os, pathlib, sys, time
directory = pathlib.Path(sys.argv[1])
(directory / f"{os.getpid()}.loaded").touch()
given = sys.stdin.read()
(directory / f"{os.getpid()}.serves").write_text(given)
time.sleep(600)
"""


@dataclass
class Running:
    """A supervisor at work on one program, and what its processes left on disk."""

    directory: Path
    one: Supervised

    def pids(self, state: str) -> set[int]:
        return {int(path.stem) for path in self.directory.glob(f"*.{state}")}

    def alive(self) -> set[int]:
        return {pid for pid in self.pids("loaded") if Path(f"/proc/{pid}").exists()}

    async def until(self, condition: Callable[[], object]) -> None:
        with anyio.fail_after(60):
            while not condition():  # noqa: ASYNC110 - processes have no event to await
                await anyio.sleep(0.01)

    async def serving(self, *, after: int = 0) -> int:
        """The one that serves now, or will when `after` was killed."""
        await self.until(lambda: self.pids("serves") & self.alive() - {after})
        (pid,) = self.pids("serves") & self.alive() - {after}
        return pid


@pytest.fixture
def directory() -> Iterator[Path]:
    """Where any user can write; pytest's own directories are closed to others."""
    made = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="hakoiri-supervised-"))
    made.chmod(0o777)
    yield made
    shutil.rmtree(made)


@asynccontextmanager
async def supervised(directory: Path, *, has_spare: bool) -> AsyncIterator[Running]:
    spec = ProcessSpec(
        name="program",
        arguments=("-c", PROGRAM, str(directory)),
        uid=65534,
        gid=65534,
        standard_input=b"given",
        has_spare=has_spare,
    )

    async def is_ready() -> bool:
        return bool(running.pids("serves") & running.alive())

    up = anyio.Event()
    one = Supervised(spec, is_ready)
    running = Running(directory, one)
    supervisor = Supervisor(shown=(Path(sys.prefix), Path(sys.base_prefix)), on_ready=up.set)
    ended: list[int] = []

    async def run() -> None:
        ended.append(await supervisor.run([one]))

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        try:
            with anyio.fail_after(60):
                await up.wait()
            yield running
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
    assert ended == [0]


async def test_the_spare_that_stood_by_takes_the_place_of_the_dead(directory: Path) -> None:
    async with supervised(directory, has_spare=True) as running:
        first = await running.serving()
        await running.until(lambda: len(running.pids("loaded")) == 2)
        (spare,) = running.pids("loaded") - {first}
        os.kill(first, signal.SIGKILL)
        assert await running.serving(after=first) == spare
        assert (directory / f"{spare}.serves").read_text() == "given"
        await running.until(lambda: len(running.pids("loaded")) == 3)
        assert await running.serving(after=first) == spare, "the next one only stands by"
    assert running.alive() == set()


async def test_a_spare_that_died_is_no_obstacle(directory: Path) -> None:
    async with supervised(directory, has_spare=True) as running:
        first = await running.serving()
        await running.until(lambda: len(running.pids("loaded")) == 2)
        (spare,) = running.pids("loaded") - {first}
        os.kill(spare, signal.SIGKILL)
        await running.until(lambda: running.one.spare and running.one.spare.returncode)
        os.kill(first, signal.SIGKILL)
        assert await running.serving(after=first) not in {first, spare}
    assert running.alive() == set()


async def test_without_a_spare_a_new_one_is_started(directory: Path) -> None:
    async with supervised(directory, has_spare=False) as running:
        first = await running.serving()
        assert len(running.pids("loaded")) == 1
        os.kill(first, signal.SIGKILL)
        assert await running.serving(after=first) != first
    assert running.alive() == set()


KILLED_AT_FIRST = """
import os, pathlib, signal, sys
mark = pathlib.Path(sys.argv[1], "killed")
if not mark.exists():
    mark.touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""


async def test_who_is_killed_while_it_starts_is_started_again(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = ProcessSpec("it", ("-c", KILLED_AT_FIRST + PROGRAM, str(directory)), 65534, 65534)
    running = Running(directory, Supervised(spec, is_ready_at_once))

    async def is_ready() -> bool:
        await checkpoint()
        return bool(running.pids("serves") & running.alive())

    supervisor = Supervisor(
        shown=(Path(sys.prefix), Path(sys.base_prefix)),
        on_ready=lambda: os.kill(os.getpid(), signal.SIGTERM),
    )
    with anyio.fail_after(60):
        assert await supervisor.run([Supervised(spec, is_ready)]) == 0
    assert len(running.pids("serves")) == 1
    assert "process_died" in capsys.readouterr().out


async def test_who_gives_up_at_its_start_ends_all(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def never() -> bool:
        await checkpoint()
        return False

    spec = ProcessSpec("it", ("-c", "raise SystemExit(3)"), 65534, 65534)
    supervisor = Supervisor(shown=(Path(sys.prefix), Path(sys.base_prefix)), on_ready=lambda: None)
    with anyio.fail_after(60):
        assert await supervisor.run([Supervised(spec, never)]) == 3
    assert "ended at its start" in capsys.readouterr().out


@pytest.mark.parametrize("exit_code", [0, 3])
async def test_an_errand_ends_all_with_its_own_exit_code(directory: Path, exit_code: int) -> None:
    other = ProcessSpec("other", ("-c", PROGRAM, str(directory)), 65534, 65534)
    errand = ProcessSpec(
        "errand", ("-c", f"raise SystemExit({exit_code})"), 65534, 65534, is_errand=True
    )
    running = Running(directory, Supervised(other, is_ready_at_once))
    supervisor = Supervisor(shown=(Path(sys.prefix), Path(sys.base_prefix)), on_ready=lambda: None)
    with anyio.fail_after(60):
        supervised = [running.one, Supervised(errand, is_ready_at_once)]
        assert await supervisor.run(supervised) == exit_code
    assert running.alive() == set()


async def test_a_stop_while_processes_start_starts_no_more_and_calls_none_dead(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = (
        ProcessSpec(name, ("-c", PROGRAM, str(directory)), 65534, 65534) for name in ("a", "b")
    )
    ready: list[str] = []

    async def stop_while_it_starts() -> bool:
        os.kill(os.getpid(), signal.SIGTERM)
        await checkpoint()
        return False

    supervisor = Supervisor(
        shown=(Path(sys.prefix), Path(sys.base_prefix)), on_ready=lambda: ready.append("yes")
    )
    never = Supervised(second, is_ready_at_once)
    with anyio.fail_after(60):
        assert await supervisor.run([Supervised(first, stop_while_it_starts), never]) == 0
    assert never.process is None
    assert ready == []
    assert "process_died" not in capsys.readouterr().out


TOLD = """
import pathlib, signal, sys, time
directory = pathlib.Path(sys.argv[1])
def tell(number, _):
    (directory / sys.argv[2]).write_text(signal.Signals(number).name)
    sys.exit(0)
signal.signal(signal.SIGTERM, tell)
signal.signal(signal.SIGUSR1, tell)
(directory / f"{sys.argv[2]}.up").touch()
time.sleep(600)
"""


@pytest.mark.parametrize(
    ("signals", "told"),
    [
        ([signal.SIGTERM], "SIGTERM"),
        ([signal.SIGUSR1], "SIGUSR1"),
        ([signal.SIGTERM, signal.SIGUSR1], "SIGTERM"),
        ([signal.SIGUSR1, signal.SIGUSR1], "SIGUSR1"),
    ],
)
async def test_only_who_can_leave_containers_is_asked_to(
    directory: Path, signals: list[signal.Signals], told: str
) -> None:
    can, cannot = (
        ProcessSpec(name, ("-c", TOLD, str(directory), name), 65534, 65534, can_leave=can_leave)
        for name, can_leave in (("can", True), ("cannot", False))
    )
    stopped: list[str] = []

    def stop() -> None:
        for number in signals:
            os.kill(os.getpid(), number)

    supervisor = Supervisor(
        shown=(Path(sys.prefix), Path(sys.base_prefix)),
        on_ready=stop,
        on_stop=lambda: stopped.append("once"),
    )
    up = {name: (directory / f"{name}.up").exists for name in ("can", "cannot")}

    async def can_is_up() -> bool:
        await checkpoint()
        return up["can"]()

    async def cannot_is_up() -> bool:
        await checkpoint()
        return up["cannot"]()

    with anyio.fail_after(60):
        supervised = [Supervised(can, can_is_up), Supervised(cannot, cannot_is_up)]
        assert await supervisor.run(supervised) == 0
    assert (directory / "can").read_text() == told
    assert (directory / "cannot").read_text() == "SIGTERM"
    assert stopped == ["once"]
