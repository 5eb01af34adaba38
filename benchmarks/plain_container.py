"""A container without Hakoiri around it: `docker run` with our hardening, and our steps alone."""

import asyncio
import os
import secrets
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.guarded_engine import guarded_engine
from benchmarks.orchestrator_bars import COLD, DOCKER_RUN
from benchmarks.report import Report
from hakoiri.host.adapters.agent_client import AgentConnectorOverSockets
from hakoiri.host.adapters.docker import DockerEngine
from hakoiri.host.containers.box import Box
from hakoiri.host.containers.hardening import MIB, engine_configuration
from hakoiri.host.containers.lifecycle import HEALTH_POLL_S
from hakoiri.host.containers.ports import AgentUnreachableError
from hakoiri.wire.guard import CONTAINER_GID, CONTAINER_UID, engine_name

Value = TypeVar("Value")
HEALTH_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class PlainContainer:
    """Starts sealed containers that belong to no server; `root` holds what is mounted."""

    engine_host: str
    box: Box
    image: str
    root: Path

    def configuration(self, image: str, container_id: str = "plain") -> dict[str, Any]:
        """Return what the guard is asked for; its mounts are named."""
        return engine_configuration(self.box.maker(image)(container_id))

    def mounted_configuration(self) -> dict[str, Any]:
        """Return what the engine is asked for without a guard; its mounts are below `root`."""
        configuration = self.configuration(self.image)
        for mount in configuration["HostConfig"]["Mounts"]:
            mount["Source"] = str(self.root / mount["Source"])
        return configuration

    def docker_run(self, report: Report) -> None:
        """Add one `docker run --rm … echo`: to its first output, and to its end."""
        configuration = self.mounted_configuration()
        profile = self.root / "seccomp.json"
        command = [
            *("docker", "--host", self.engine_host, "run", "--rm", "--entrypoint", "echo"),
            *run_flags(configuration, seccomp_file=profile),
            *(self.image, "out"),
        ]
        started_s = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            said = process.stdout.readline() if process.stdout else b""
            first_output_s = time.perf_counter()
            code = process.wait()
        if code or said != b"out\n":
            raise RuntimeError(f"docker run failed with exit code {code}")
        report.add(DOCKER_RUN, (first_output_s - started_s) * 1000)
        report.add("docker run, to exit", (time.perf_counter() - started_s) * 1000)

    def steps(self, report: Report) -> None:
        """Add the steps of a cold start, one after the other, with nothing else beside them."""
        asyncio.run(self._steps(report))

    async def _steps(self, report: Report) -> None:
        async def timed(name: str, work: Callable[[], Awaitable[Value]]) -> Value:
            started_s = time.perf_counter()
            value = await work()
            report.add(f"step: {name}", (time.perf_counter() - started_s) * 1000)
            return value

        container_id = f"c{secrets.token_hex(8)}"
        name = engine_name(container_id)
        async with (
            guarded_engine(
                self.engine_host, settings=self.box.settings, image=self.image, root=self.root
            ) as guarded,
            DockerEngine(guarded.address) as engine,
        ):
            (guarded.proxy_sockets / container_id).mkdir()
            try:
                began_s = time.perf_counter()
                made = await timed("directories", lambda: engine.make_box(container_id))
                image_id = await engine.image_id(self.image)
                configuration = self.configuration(image_id, container_id)
                await timed("create", lambda: engine.create(name=name, config=configuration))
                await timed("start", lambda: engine.start(name))
                await timed("healthy", lambda: _until_healthy(Path(made.agent)))
                report.add(COLD, (time.perf_counter() - began_s) * 1000)
            finally:
                await engine.remove(name)
                await engine.remove_box(container_id)


async def _until_healthy(socket_directory: Path) -> None:
    agent = AgentConnectorOverSockets().connect(socket_directory)
    try:
        async with asyncio.timeout(HEALTH_TIMEOUT_S):
            while True:
                try:
                    await agent.health()
                except AgentUnreachableError:
                    await asyncio.sleep(HEALTH_POLL_S)
                else:
                    return
    finally:
        await agent.close()


@contextmanager
def plain_container(*, engine_host: str, box: Box, image_id: str) -> Iterator[PlainContainer]:
    """Make what a sealed container mounts; remove it in the end."""
    with tempfile.TemporaryDirectory(prefix="hakoiri-bench-") as name:
        root = Path(name)
        for source in ("workspace", "home", "agent", "proxy"):
            (root / source).mkdir()
            os.chown(root / source, CONTAINER_UID, CONTAINER_GID)
        yield PlainContainer(engine_host, box, image_id, root)


def run_flags(configuration: Mapping[str, Any], *, seccomp_file: Path) -> list[str]:
    """Return the flags of `docker run` that seal a container like an engine configuration does.

    The command reads a seccomp profile from a file, and it is written to `seccomp_file`.
    """
    host = configuration["HostConfig"]
    flags = [
        *("--user", configuration["User"]),
        *("--runtime", host["Runtime"], "--network", host["NetworkMode"]),
        *("--read-only", "--init", "--cap-drop", "ALL", "--ipc", host["IpcMode"]),
        *("--cgroupns", host["CgroupnsMode"], "--pids-limit", str(host["PidsLimit"])),
        *("--memory", str(host["Memory"]), "--memory-swap", str(host["MemorySwap"])),
        *("--cpus", str(host["NanoCpus"] / 1e9), "--cpu-shares", str(host["CpuShares"])),
        *("--oom-score-adj", str(host["OomScoreAdj"])),
        *("--shm-size", f"{host['ShmSize'] // MIB}m", "--log-driver", host["LogConfig"]["Type"]),
    ]
    for limit in host["Ulimits"]:
        flags += ["--ulimit", f"{limit['Name']}={limit['Soft']}:{limit['Hard']}"]
    for target, options in host["Tmpfs"].items():
        flags += ["--tmpfs", f"{target}:{options}"]
    for mount in host["Mounts"]:
        read_only = ",readonly" if mount.get("ReadOnly") else ""
        source = f"type={mount['Type']},source={mount['Source']},target={mount['Target']}"
        flags += ["--mount", source + read_only]
    for option in host["SecurityOpt"]:
        kind, _, value = option.partition("=")
        if kind == "seccomp":
            seccomp_file.write_text(value, encoding="utf-8")
            option = f"seccomp={seccomp_file}"  # noqa: PLW2901 - the same option by its file
        flags += ["--security-opt", option]
    return flags
