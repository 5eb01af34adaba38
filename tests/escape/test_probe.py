"""The thorough probe in a box made like every other: nothing it tries may be open."""

import json
import os
import subprocess
import sys
from collections import Counter
from typing import Any, Final

import pytest
from tests.engine import TestEngine
from tests.escape.conftest import Tell

pytestmark = [pytest.mark.engine, pytest.mark.root]

TIMEOUT_S: Final = 240
QUOTAS: Final = ("disk of the host by /workspace", "disk of the host by the home")
"""See test_disk.py."""

GROUPS: Final = (
    ("posture: capabilities", "privilege-escalation"),
    ("posture: no new privileges", "privilege-escalation"),
    ("posture: system-call filter", "syscall-filter"),
    ("posture: limit", "resource-exhaustion"),
    ("posture: ", "posture"),
    ("system call ", "syscall-filter"),
    ("namespace ", "privilege-escalation"),
    ("socket /", "docker-socket"),
    ("socket", "network-egress"),
    ("connect: metadata", "metadata-address"),
    ("connect: container credentials", "metadata-address"),
    ("connect: ", "network-egress"),
    ("datagram", "network-egress"),
    ("name lookup", "network-egress"),
    ("network interfaces", "network-egress"),
    ("tunnel device", "network-egress"),
    ("new file in ", "root-file-system"),
    ("write ", "root-file-system"),
    ("read ", "root-file-system"),
    ("device node", "privilege-escalation"),
    ("program that gains", "privilege-escalation"),
    ("proxy socket", "proxy-bypass"),
    ("secret", "secrets"),
    ("logins in ", "secrets"),
    ("fork bomb", "resource-exhaustion"),
    ("memory bomb", "resource-exhaustion"),
    ("file descriptors", "resource-exhaustion"),
    ("fill ", "resource-exhaustion"),
    ("inodes of ", "resource-exhaustion"),
    ("disk of the host", "resource-exhaustion"),
)
"""By how a finding's name begins, its area; the first that fits counts."""


@pytest.fixture(scope="module", params=["runc", "runsc"])
def findings(
    request: pytest.FixtureRequest, engine: TestEngine, image: str
) -> list[dict[str, str]]:
    ended = subprocess.run(
        [
            *(sys.executable, "-P", "-m", "hakoiri.cli", "probe", "--json"),
            *("--thorough", "--runtime", request.param),
        ],
        env={
            "PATH": os.environ["PATH"],
            "HAKOIRI_DOCKER_HOST": engine.docker_host,
            "HAKOIRI_CONTAINER__IMAGE": image,
        },
        cwd="/",
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert ended.stdout, ended.stderr[-2000:]
    told: dict[str, Any] = json.loads(ended.stdout)
    assert told["runtime"] == request.param
    found: list[dict[str, str]] = told["findings"]
    return found


def group_of(name: str) -> tuple[str, str] | None:
    return next(((begin, area) for begin, area in GROUPS if name.startswith(begin)), None)


@pytest.mark.parametrize(("begin", "area"), GROUPS)
@pytest.mark.attack("posture")
def test_a_group_of_attempts_is_refused(
    findings: list[dict[str, str]], begin: str, area: str, tell: Tell
) -> None:
    group = [one for one in findings if group_of(one["name"]) == (begin, area)]
    tried = [one for one in group if one["name"] not in QUOTAS]
    if not tried:
        assert begin in {"fork bomb", "memory bomb", "disk of the host"}, "nothing was tried"
        return
    still_open = [f"{one['name']}: {one['how']}" for one in tried if one["result"] != "refused"]
    reasons = Counter(one["how"] for one in tried).most_common(4)
    tell(
        f"probe: {begin.strip(': ')} ({len(tried)} attempts)",
        command="hakoiri probe --thorough",
        expected="all refused",
        seen="; ".join(still_open) or ", ".join(f"{count} x {how}" for how, count in reasons),
        held=not still_open,
        area=area,
    )


@pytest.mark.attack("posture")
def test_every_attempt_of_the_probe_is_in_a_group(findings: list[dict[str, str]]) -> None:
    assert [one["name"] for one in findings if group_of(one["name"]) is None] == []
    assert len(findings) >= 230
