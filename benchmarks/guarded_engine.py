"""The engine behind a guard of our own, in a process of its own as in a running server."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from hakoiri.cli.pinned_image import image_id_of
from hakoiri.cli.supervisor.guard_rules import disk_rules, guard_rules
from hakoiri.docker_guard.rules import GuardLaunch
from hakoiri.host.settings import Settings

START_TIMEOUT_S = 30
INSTANCE = "bench"


@dataclass(frozen=True, slots=True)
class GuardedEngine:
    """Where the guard listens, where it looks for proxies' directories, and which process it is."""

    address: str
    proxy_sockets: Path
    pid: int

    def processor_ms(self) -> float:
        """Return the time that its threads have had a processor (proc(5), `schedstat`)."""
        ran_ns = 0
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            with suppress(OSError):  # a thread that ends meanwhile
                ran_ns += int((task / "schedstat").read_text().split()[0])
        return ran_ns / 1_000_000


@asynccontextmanager
async def guarded_engine(
    engine_host: str, *, settings: Settings, image: str, root: Path
) -> AsyncIterator[GuardedEngine]:
    """Run a guard before the engine, with its tree below `root`."""
    socket, sockets, tree = root / "guard.sock", root / "proxy-sockets", root / "tree"
    disks = root / "disks"
    for directory in (sockets, tree, disks):
        directory.mkdir(exist_ok=True)
    launch = GuardLaunch(
        socket=socket,
        client_uids=(),
        engine=engine_host,
        tree=tree,
        disks=disks,
        disk_rules=disk_rules(settings),
        proxy_sockets=sockets,
        proxy_uid=os.geteuid(),
        rules=guard_rules(
            settings,
            instances=[INSTANCE],
            images={image: await asyncio.to_thread(image_id_of, image, docker_host=engine_host)},
            runtimes=[settings.container.runtime],
        ),
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hakoiri.docker_guard"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        if process.stdin is not None:
            process.stdin.write(launch.model_dump_json().encode())
            process.stdin.close()
        async with asyncio.timeout(START_TIMEOUT_S):
            while not socket.exists():  # noqa: ASYNC110 - another process makes it
                await asyncio.sleep(0.02)
        yield GuardedEngine(f"unix://{socket}", sockets, process.pid)
    finally:
        process.terminate()
        await process.wait()
