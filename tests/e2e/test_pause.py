"""A workspace that idles is frozen, and its next message thaws it."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any, Literal

import pytest
from tests.e2e.running import Hakoiri, data_of, hakoiri
from tests.e2e.scripts import RUN
from tests.e2e.test_failures import container_of, is_ready
from tests.engine import TestEngine
from tests.waiting import until

pytestmark = [pytest.mark.engine, pytest.mark.root]

PAUSE_AFTER_S = 1
WATCHED_S = 1.5
SENTRY_SHARE = 0.01
"""Of one core."""


@pytest.fixture(scope="module", params=["runc", "runsc"])
def server(
    engine: TestEngine,
    image: str,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[Hakoiri]:
    runtime: Literal["runc", "runsc"] = request.param
    with hakoiri(
        tmp_path_factory.mktemp(f"pause-{runtime}"),
        docker_host=engine.docker_host,
        script=RUN,
        settings={
            "HAKOIRI_CONTAINER__IMAGE": image,
            "HAKOIRI_CONTAINER__RUNTIME": runtime,
            "HAKOIRI_CONTAINER__PAUSE_AFTER_S": str(PAUSE_AFTER_S),
        },
    ) as running:
        yield running


def state(server: Hakoiri, container: str) -> dict[str, Any]:
    found: dict[str, Any] = server.inspect(f"hakoiri-{container}")["State"]
    return found


def runtime_of(server: Hakoiri, container: str) -> str:
    runtime: str = server.inspect(f"hakoiri-{container}")["HostConfig"]["Runtime"]
    return runtime


def cgroups(pid: int) -> list[Path]:
    """The directories of the cgroups that the process is in, below those of the host."""
    lines = [line.split(":", 2) for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()]
    found = [Path(f"/sys/fs/cgroup/{names}{path}") for _, names, path in lines if path != "/"]
    return [path for path in found if path.is_dir()]


def cpu_ns(pid: int) -> int:
    """CPU time of the whole cgroup that the process is in."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "cpuacct" in controllers.split(","):
            return int(Path(f"/sys/fs/cgroup/cpuacct{path}/cpuacct.usage").read_text())
        if not controllers and Path(f"/sys/fs/cgroup{path}/cpu.stat").exists():
            usage = Path(f"/sys/fs/cgroup{path}/cpu.stat").read_text().split()
            return int(usage[usage.index("usage_usec") + 1]) * 1000
    pytest.fail("no cgroup tells the container's CPU time")


def frozen(server: Hakoiri, conversation: str) -> str:
    """Run a turn, wait until its container is frozen, and return it."""
    container = container_of(server.turn(conversation, "run: (while true; do :; done) & echo on"))
    until(lambda: state(server, container)["Paused"])
    return container


def test_a_frozen_container_uses_no_cpu_and_a_message_thaws_it(server: Hakoiri) -> None:
    conversation = server.conversation()
    container = frozen(server, conversation)
    pid = state(server, container)["Pid"]
    before = cpu_ns(pid)
    time.sleep(WATCHED_S)
    is_kernels_own = runtime_of(server, container) == "runc"
    # gVisor stops what runs in the sandbox; its own kernel goes on ticking
    allowed_ns = 0 if is_kernels_own else WATCHED_S * 1e9 * SENTRY_SHARE
    assert cpu_ns(pid) - before <= allowed_ns
    begun_s = time.monotonic()
    events = []
    for event in server.api.send(conversation, "run: echo thawed"):
        if event["type"] == "turn_started":
            print(f"\nmessage to turn_started: {(time.monotonic() - begun_s) * 1000:.0f} ms")  # noqa: T201 - measured
        events.append(event)
    assert events[-1]["type"] == "result"
    assert data_of(events, "tool_result")[0]["text"].strip() == "thawed"
    assert (container_of(events), data_of(events, "turn_started")[0]["start"]) == (
        container,
        "live",
    )
    assert cpu_ns(pid) > before


def test_metrics_tell_what_is_frozen(server: Hakoiri) -> None:
    frozen(server, server.conversation())
    page = server.api.download("/metrics").decode()
    line = next(one for one in page.splitlines() if one.startswith("hakoiri_containers_paused "))
    assert float(line.split()[1]) >= 1


def test_a_frozen_container_is_adopted(server: Hakoiri) -> None:
    conversation = server.conversation()
    container = frozen(server, conversation)
    (old,) = server.processes("hakoiri.host")
    os.kill(old, signal.SIGKILL)
    until(lambda: server.processes("hakoiri.host") not in ([], [old]) and is_ready(server))
    assert container_of(server.turn(conversation, "hello")) == container


def test_a_frozen_container_that_is_killed_is_replaced(server: Hakoiri) -> None:
    conversation = server.conversation()
    server.turn(conversation, "run: echo kept > kept")
    container = frozen(server, conversation)
    with suppress(CalledProcessError):  # a busy engine may need more than its own time for it
        server.docker("rm", "--force", f"hakoiri-{container}")
    until(lambda: not is_running(server, container))
    events = server.turn(conversation, "run: cat kept")
    assert data_of(events, "tool_result")[0]["text"].strip() == "kept"
    assert data_of(events, "turn_started")[0]["generation"] == 2


def is_running(server: Hakoiri, container: str) -> bool:
    return server.docker("ps", "--quiet", "--filter", f"name=hakoiri-{container}") != ""


def test_a_stop_leaves_nothing_of_frozen_containers(server: Hakoiri) -> None:
    container = frozen(server, server.conversation())
    made = cgroups(state(server, container)["Pid"])
    assert made
    begun_s = time.monotonic()
    server.server.stop()
    print(f"\nstop with a frozen container: {time.monotonic() - begun_s:.1f} s")  # noqa: T201 - measured
    assert server.containers() == []
    assert server.boxes() == []
    assert server.mounts() == []
    assert not [path for path in made if path.exists()]
    assert not server.run_dir.exists()
