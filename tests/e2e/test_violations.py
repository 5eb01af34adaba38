"""A call for which the filter kills a process is told in the server's log, by its workspace."""

import json
import os
from collections.abc import Iterator
from typing import Any
from urllib.request import urlopen

import pytest
from tests.conftest import give_up
from tests.e2e.running import Hakoiri, hakoiri
from tests.e2e.scripts import RUN
from tests.engine import TestEngine
from tests.waiting import until

pytestmark = [pytest.mark.engine, pytest.mark.root]

ATTEMPTS = """
import ctypes, os, time
for _ in range(6):
    if os.fork() == 0:
        ctypes.CDLL(None).mount(b"x", b"/x", b"tmpfs", 0, None)
        os._exit(0)
    time.sleep(1)
statuses = [os.wait()[1] & 127 for _ in range(6)]
print("killed by", *set(statuses))
"""
"""Several: the kernel writes at most ten records within five seconds, whoever makes them."""


@pytest.fixture(scope="module")
def server(
    engine: TestEngine, image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hakoiri]:
    try:
        os.close(os.open("/dev/kmsg", os.O_RDONLY))
    except OSError:
        give_up("the kernel's log cannot be read here")
    with hakoiri(
        tmp_path_factory.mktemp("violations"),
        docker_host=engine.docker_host,
        script=RUN,
        settings={
            "HAKOIRI_CONTAINER__IMAGE": image,
            "HAKOIRI_CONTAINER__RUNTIME": "runc",  # of gVisor's the kernel records no violations
        },
    ) as running:
        yield running


def violations(server: Hakoiri) -> list[dict[str, Any]]:
    return server.server_log("seccomp_violation")


def test_a_killed_call_is_told_with_its_workspace(server: Hakoiri) -> None:
    conversation = server.conversation()
    workspace = server.api.call("GET", f"/v1/conversations/{conversation}")["workspace_id"]
    events = server.turn(conversation, f"run: python3 -c '{ATTEMPTS}'")
    assert "killed by 31" in json.dumps(events)

    def told() -> list[dict[str, Any]]:
        return [one for one in violations(server) if one["workspace_id"] == workspace]

    ours = until(told, server.server.log_tail)
    audited = server.audited(f"event=seccomp_violation&workspace={workspace}")
    assert {one["unmapped"]["call"] for one in audited} == {"mount"}
    assert {one["unmapped"]["workspace"] for one in audited} == {workspace}
    assert {one["metadata"]["log_name"] for one in audited} == {"server"}
    assert {one["unmapped"]["pid"] for one in audited} & {one["pid"] for one in ours}
    assert {one["call"] for one in ours} == {"mount"}
    assert {one["level"] for one in ours} == {"warning"}
    url = f"http://127.0.0.1:{server.server.port}/metrics"
    with urlopen(url) as page:
        text = page.read().decode()
    counted = f'hakoiri_seccomp_violations_total{{workspace="{workspace}"}}'
    (sample,) = (line for line in text.splitlines() if line.startswith(counted))
    assert float(sample.split()[-1]) >= len(ours)


def test_a_call_that_is_only_refused_is_not_told(server: Hakoiri) -> None:
    before = len(violations(server))
    conversation = server.conversation()
    events = server.turn(conversation, "run: unshare --user true; echo ended $?")
    assert "ended 1" in json.dumps(events)
    workspace = server.api.call("GET", f"/v1/conversations/{conversation}")["workspace_id"]
    assert workspace not in {one["workspace_id"] for one in violations(server)[before:]}
