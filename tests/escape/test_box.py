"""A box as hardening asks for it and the guard lets it through, looked at from inside.

What `tests/mutation/box.toml` takes out of both must be seen here: the guard runs from the same
source, so a layer that hardening drops and the guard no longer asks for is gone in the container.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest
from benchmarks.guarded_engine import INSTANCE, guarded_engine
from tests.engine import TestEngine, mounts_below
from tests.escape.conftest import Tell

from hakoiri.cli.doctor.apparmor_facts import read_apparmor
from hakoiri.host.adapters.docker import DockerEngine
from hakoiri.host.adapters.proxy_client import ProxyClient
from hakoiri.host.container_fleet import make_lifecycle
from hakoiri.host.containers.box import read_box
from hakoiri.host.containers.box_probe import look_at_a_box
from hakoiri.host.probe_keeping import see_from_outside
from hakoiri.host.settings import Settings
from hakoiri.wire.probe import ProbeReport

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.engine,
    pytest.mark.root,
    pytest.mark.attack("posture"),
]

START_TIMEOUT_S = 30
"""See test_disk.py."""


@contextmanager
def proxy(root: Path, sockets: Path) -> Iterator[Path]:
    """Run a credential proxy that nothing is allowed at; yield its control socket."""
    control, file, state = root / "control.sock", root / "proxy.toml", root / "state"
    state.mkdir(mode=0o700)
    file.touch(mode=0o640)
    options = ("--sockets-dir", sockets, "--control", control, "--file", file, "--state-dir", state)
    command = [sys.executable, "-m", "hakoiri.credential_proxy", *map(str, options)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            deadline_s = time.monotonic() + START_TIMEOUT_S
            while not control.exists():
                assert process.poll() is None
                assert time.monotonic() < deadline_s
                time.sleep(0.05)
            yield control
        finally:
            process.terminate()


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory with a short path: sockets lie in it."""
    made = Path(tempfile.mkdtemp(prefix="hakoiri-box-", dir="/var/tmp"))
    yield made
    for mounted in mounts_below(made):
        subprocess.run(["umount", "--lazy", str(mounted)], check=False)
    shutil.rmtree(made)


async def looked_at(
    engine: TestEngine,
    image: str,
    root: Path,
    runtime: Literal["runc", "runsc"],
    *,
    is_thorough: bool,
) -> ProbeReport:
    """Start one container through a guard and a proxy, and have it looked at from inside."""
    small = {"memory_mib": 512, "pids": 96, "tmp_mib": 32, "shm_mib": 8}
    limits = small if runtime == "runc" else {}
    settings = Settings.model_validate({"container": {"runtime": runtime, **limits}})
    box = read_box(settings, instance=INSTANCE)
    async with guarded_engine(
        engine.docker_host, settings=settings, image=image, root=root
    ) as guarded:
        with proxy(root, guarded.proxy_sockets) as control:
            async with DockerEngine(guarded.address) as behind, ProxyClient(control) as client:
                image_id = await behind.image_id(image)
                lifecycle = make_lifecycle(box, engine=behind, proxy=client, image_id=image_id)
                outside = await see_from_outside(box, behind, kernel=read_apparmor())
                look = await look_at_a_box(
                    lifecycle, runtime=runtime, outside=outside, thorough=is_thorough
                )
                return look.report


@pytest.mark.short
@pytest.mark.parametrize("runtime", ["runc", "runsc"])
async def test_nothing_in_a_box_is_open(
    engine: TestEngine, image: str, place: Path, runtime: Literal["runc", "runsc"], tell: Tell
) -> None:
    report = await looked_at(engine, image, place, runtime, is_thorough=False)
    still_open = [f"{found.name}: {found.how}" for found in report.open]
    tell(
        "a box made through the guard, looked at from inside",
        command="POST /probe to its agent",
        expected="all attempts refused, the posture as reviewed",
        seen="; ".join(still_open) or f"{len(report.findings)} refused",
        held=not still_open and len(report.findings) > 200,
    )


@pytest.mark.parametrize("runtime", ["runc"])
async def test_a_box_ends_at_its_own_limits(
    engine: TestEngine, image: str, place: Path, runtime: Literal["runc", "runsc"], tell: Tell
) -> None:
    report = await looked_at(engine, image, place, runtime, is_thorough=True)
    still_open = [f"{one.name}: {one.how}" for one in report.open]
    bounded = {found.name: found.how for found in report.findings if "bomb" in found.name}
    tell(
        "a box made through the guard, used up from inside",
        command="POST /probe to its agent, thorough",
        expected="all ends at the box's own limits",
        seen="; ".join(still_open) or "; ".join(f"{k}: {v}" for k, v in sorted(bounded.items())),
        held=not still_open and len(bounded) == 2,
    )
