"""What the docker guard adds to a call: the same call with and without it, in turns."""

import asyncio
import os
import secrets
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiodocker

from benchmarks.guarded_engine import INSTANCE, GuardedEngine, guarded_engine
from benchmarks.report import Report
from hakoiri.cli.workspace_image import workspace_image
from hakoiri.host.adapters.docker import DockerEngine
from hakoiri.host.containers.box import read_box
from hakoiri.host.containers.hardening import engine_configuration
from hakoiri.host.settings import DEFAULT_DOCKER_HOST, Settings, load
from hakoiri.wire.guard import SOURCE_HOME, SOURCE_WORKSPACE, engine_name

ROUNDS_EACH = 10
"""One sample is a round of so many calls for each call; a create is one call."""


def measure(samples: int, *, say: Callable[[str], None]) -> Report:
    """Measure inspect, list, start of a running container, and create with remove."""
    return asyncio.run(_measure(samples, say))


async def _measure(samples: int, say: Callable[[str], None]) -> Report:
    host = os.environ.get("HAKOIRI_DOCKER_HOST", DEFAULT_DOCKER_HOST)
    settings = load(docker_host=host)
    image = settings.container.image or workspace_image()
    report = Report("Calls with and without the docker guard")
    with tempfile.TemporaryDirectory(prefix="hakoiri-bench-") as name:
        root = Path(name)
        async with (
            guarded_engine(host, settings=settings, image=image, root=root) as guarded,
            DockerEngine(guarded.address) as behind,
            aiodocker.Docker(url=host) as bare,
        ):
            image_id = await behind.image_id(image)
            pair = await _Pair.made(
                guarded=guarded,
                behind=behind,
                bare=bare,
                settings=settings,
                image_id=image_id,
                root=root,
            )
            try:
                for number in range(-1, samples):
                    say(f"round {number + 1} of {samples}")
                    await pair.round(Report("warm-up") if number < 0 else report)
            finally:
                await pair.remove()
    return report


class _Pair:
    """A running container that is asked about both ways."""

    def __init__(
        self, behind: DockerEngine, bare: aiodocker.Docker, body: dict[str, Any], container_id: str
    ) -> None:
        self.behind, self.bare, self.body = behind, bare, body
        self.container_id = container_id
        self.name = engine_name(container_id)
        self.engine_body: dict[str, Any] = {}

    @classmethod
    async def made(
        cls,
        *,
        guarded: GuardedEngine,
        behind: DockerEngine,
        bare: aiodocker.Docker,
        settings: Settings,
        image_id: str,
        root: Path,
    ) -> "_Pair":
        container_id = f"c{secrets.token_hex(8)}"
        (guarded.proxy_sockets / container_id).mkdir()
        body = engine_configuration(
            read_box(settings, instance=INSTANCE).maker(image_id)(container_id)
        )
        pair = cls(behind, bare, body, container_id)
        await behind.make_box(container_id)
        await behind.create(name=pair.name, config=body)
        await behind.start(pair.name)
        pair.engine_body = body | {"HostConfig": dict(body["HostConfig"])}
        pair.engine_body["HostConfig"]["Mounts"] = [
            one | {"Source": str(_place(root, one["Source"]) / container_id / one["Source"])}
            for one in body["HostConfig"]["Mounts"]
        ]
        return pair

    async def remove(self) -> None:
        await self.behind.remove(self.name)
        await self.behind.remove_box(self.container_id)

    async def round(self, report: Report) -> None:
        """Time each call bare and guarded, alternating which is first."""
        container = self.bare.containers.container(self.name)
        filters = f'{{"label":["hakoiri.instance={INSTANCE}"]}}'
        calls: dict[str, tuple[Callable[[], Awaitable[Any]], Callable[[], Awaitable[Any]]]] = {
            "inspect": (container.show, lambda: self.behind.is_running(self.name)),
            "start (running already)": (container.start, lambda: self.behind.start(self.name)),
            "list": (
                lambda: self.bare.containers.list(all=True, filters=filters),
                lambda: self.behind.list_ours(INSTANCE),
            ),
        }
        for name, (bare, guarded) in calls.items():
            for number in range(ROUNDS_EACH):
                await _add(report, name, _in_turns(number, ("bare", bare), ("guarded", guarded)))
        for number in range(2):
            ways = _in_turns(number, ("bare", self._create_bare), ("guarded", self._create_guarded))
            await _add(report, "create", ways, before=lambda: self.behind.remove(self.name))
        await self.behind.start(self.name)

    async def _create_bare(self) -> None:
        await self.bare.containers.create(self.engine_body, name=self.name)

    async def _create_guarded(self) -> None:
        await self.behind.create(name=self.name, config=self.body)


def _place(root: Path, source: str) -> Path:
    """Where the engine finds a box's directory."""
    return root / ("disks" if source in (SOURCE_WORKSPACE, SOURCE_HOME) else "tree")


Way = tuple[str, Callable[[], Awaitable[Any]]]


def _in_turns(number: int, first: Way, second: Way) -> tuple[Way, Way]:
    return (first, second) if number % 2 else (second, first)


async def _add(
    report: Report,
    name: str,
    ways: tuple[Way, Way],
    *,
    before: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Time both ways, one right after the other; what the guard added is their difference."""
    took_ms: dict[str, float] = {}
    for way, call in ways:
        if before is not None:
            await before()
        took_ms[way] = await _timed(call)
    report.add(f"{name}: bare", took_ms["bare"])
    report.add(f"{name}: guarded", took_ms["guarded"])
    report.add(f"{name}: added", took_ms["guarded"] - took_ms["bare"])


async def _timed(call: Callable[[], Awaitable[Any]]) -> float:
    started_s = time.perf_counter()
    await call()
    return (time.perf_counter() - started_s) * 1000
