"""A whole Hakoiri on an engine with userns-remap: turns, files, the probe, and the way back."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.running import Hakoiri, data_of, hakoiri, prepare, usual_runtime
from tests.e2e.scripts import RUN
from tests.engine import TestEngine
from tests.remapped_engine import DEPLOYED

pytestmark = [pytest.mark.engine, pytest.mark.root]

PROBE_TIMEOUT_S = 180
FIRST_UID, FIRST_GID = (
    int((DEPLOYED / name).read_text().split(":")[1]) for name in ("subuid", "subgid")
)
WRITE = (
    "mkdir -p src/deep && echo one > src/deep/file && ln -s deep/file src/link && "
    "printf 'exit 0' > tool && chmod 4755 tool && chmod 2750 src && id -u"
)
LOOK = (
    "cat src/link && "
    "find . src src/deep src/deep/file src/link tool -maxdepth 0 -printf '%p %U %G %m\\n'"
)
APPEND = "echo more >> src/deep/file && rm tool && echo written"


def output(server: Hakoiri, conversation: str, command: str) -> str:
    events = server.turn(conversation, f"run: {command}")
    assert events[-1]["type"] == "result", events[-1]
    text: str = data_of(events, "tool_result")[0]["text"]
    return text.strip()


def owners_outside(server: Hakoiri) -> set[tuple[int, int]]:
    """Who owns the files of the one live workspace, as the host numbers users."""
    (box,) = server.boxes()
    workspace = server.tree / box / "workspace"
    statuses = [path.lstat() for path in (workspace, *workspace.rglob("*"))]
    return {(status.st_uid, status.st_gid) for status in statuses}


def looked_at(server: Hakoiri, conversation: str) -> list[str]:
    """What the box sees of what `WRITE` wrote: all of it its user's; no set-id bit was kept."""
    return output(server, conversation, LOOK).splitlines()


SEEN = [
    ". 1000 1000 700",
    "src 1000 1000 750",
    "src/deep 1000 1000 755",
    "src/deep/file 1000 1000 644",
    "src/link 1000 1000 777",
    "tool 1000 1000 755",
]


def test_a_conversation_goes_on_in_a_new_container_with_its_files(
    remapped: TestEngine, remapped_image: str, passable: Path
) -> None:
    settings = {"HAKOIRI_CONTAINER__IMAGE": remapped_image}
    with hakoiri(
        passable, docker_host=remapped.docker_host, script=RUN, settings=settings
    ) as server:
        conversation = server.conversation()
        assert output(server, conversation, WRITE) == "1000"
        assert owners_outside(server) == {(FIRST_UID + 1000, FIRST_GID + 1000)}
        (container,) = server.containers()
        if usual_runtime() == "runc":  # gVisor's own process maps one user alone
            pid = server.inspect(container)["State"]["Pid"]
            uid_map = Path(f"/proc/{pid}/uid_map").read_text()
            assert uid_map.split() == ["0", str(FIRST_UID), "65536"]
        server.docker("rm", "--force", container)

        assert looked_at(server, conversation) == ["one", *SEEN]
        (again,) = server.containers()
        assert again != container
        assert owners_outside(server) == {(FIRST_UID + 1000, FIRST_GID + 1000)}
        assert output(server, conversation, APPEND) == "written"
        (told,) = server.server_log("user_namespace")
        assert told["remapped"] is True
    assert server.boxes() == []


def test_gvisor_serves_turns_there_too(
    remapped: TestEngine, remapped_image: str, passable: Path
) -> None:
    settings = {"HAKOIRI_CONTAINER__IMAGE": remapped_image, "HAKOIRI_CONTAINER__RUNTIME": "runsc"}
    with hakoiri(
        passable, docker_host=remapped.docker_host, script=RUN, settings=settings
    ) as server:
        conversation = server.conversation()
        assert output(server, conversation, "echo one > file && id -u") == "1000"
        assert owners_outside(server) == {(FIRST_UID + 1000, FIRST_GID + 1000)}
        server.docker("rm", "--force", *server.containers())
        assert output(server, conversation, "cat file && echo two >> file && cat file") == (
            "one\none\ntwo"
        )


def test_files_go_to_an_engine_without_and_back(
    *, remapped: TestEngine, remapped_image: str, engine: TestEngine, image: str, passable: Path
) -> None:
    """One server's data under both engines in turn, as on the way there, and when it is undone."""
    mapped = (FIRST_UID + 1000, FIRST_GID + 1000)
    settings = {"HAKOIRI_CONTAINER__IMAGE": image}
    assert image == remapped_image
    here = prepare(passable, docker_host=remapped.docker_host, script=RUN, settings=settings)
    there = prepare(passable, docker_host=engine.docker_host, script=RUN, settings=settings)
    with here.server:
        conversation = here.conversation()
        output(here, conversation, WRITE)
    with there.server:
        assert looked_at(there, conversation) == ["one", *SEEN]
        assert owners_outside(there) == {(1000, 1000)}
        output(there, conversation, "echo plain >> src/deep/file")
    with here.server:
        assert looked_at(here, conversation) == ["one", "plain", *SEEN]
        assert owners_outside(here) == {mapped}
        assert output(here, conversation, APPEND) == "written"


@pytest.mark.parametrize("runtime", ["runc", "runsc"])
def test_nothing_in_a_remapped_box_is_open(
    remapped: TestEngine, remapped_image: str, runtime: str
) -> None:
    ended = subprocess.run(
        [sys.executable, "-P", "-m", "hakoiri.cli", "probe", "--json", "--runtime", runtime],
        env={
            "PATH": os.environ["PATH"],
            "HAKOIRI_DOCKER_HOST": remapped.docker_host,
            "HAKOIRI_CONTAINER__IMAGE": remapped_image,
        },
        cwd="/",
        capture_output=True,
        text=True,
        timeout=PROBE_TIMEOUT_S,
        check=False,
    )
    findings: list[dict[str, Any]] = json.loads(ended.stdout)["findings"]
    assert [found for found in findings if found["result"] != "refused"] == []
    assert ended.returncode == 0
    assert len(findings) > 200
    seen = {found["name"]: found["how"] for found in findings}
    if runtime == "runc":
        assert seen["posture: users on the host"] == f"0 is {FIRST_UID}, 65536 of them"
        assert seen["posture: groups on the host"] == f"0 is {FIRST_GID}, 65536 of them"
        proxy = set(seen["posture: mount /run/hakoiri/proxy"].split(","))
        assert proxy >= {"ro", "nosuid", "nodev", "noexec"}
