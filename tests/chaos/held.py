"""What there is for containers and chats while servers live: on the host, and as they tell it."""

import http.client
import json
import os
import pwd
import socket
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from tests.chaos.forgotten import held_disks
from tests.chaos.host_state import below, mounts_below
from tests.chaos.site import Site
from tests.disks import loop_devices_of
from tests.e2e.running import Hakoiri

from hakoiri.cli.supervisor.preparation import code_directories
from hakoiri.cli.supervisor.process import ProcessSpec, launch_command
from hakoiri.cli.supervisor.processes import CONTROL_SOCKET, GUARD_SOCKET

ASK: Final = """
import http.client, socket, sys
way = http.client.HTTPConnection("guard", timeout=20)
way.sock = socket.socket(socket.AF_UNIX)
way.sock.connect(sys.argv[1])
way.request("GET", "/boxes")
print(way.getresponse().read().decode())
"""
"""The guard answers the server's user alone."""

ALWAYS_THERE: Final = frozenset({"ca.pem", "control.sock"})
"""In the proxy's directory."""


def held_for_containers(site: Site) -> dict[str, list[str]]:
    """Return all that there is for containers and chats of servers that live, by kind."""
    found = {
        "containers": site.docker("ps", "--all", "--format", "{{.Names}}").split(),
        "volumes": site.docker("volume", "ls", "--quiet").split(),
        "disks of removed containers": held_disks(site),
    }
    for server in site.servers:
        for kind, names in _held_by(server).items():
            found[kind] = sorted({*found.get(kind, ()), *names})
    return found


def _held_by(server: Hakoiri) -> dict[str, list[str]]:
    shared = (server.tree, server.disks)
    return {
        "directories": below(server.tree),
        "disks": below(server.disks),
        "mounts": [point for point in mounts_below(*shared) if Path(point) not in shared],
        "loop devices": [str(path) for path in loop_devices_of(server.disks)],
        "the guard's boxes": guards_boxes(server),
        "the proxy's sockets": sorted(proxys_sockets(server)),
        "sockets' directories": [
            path for path in below(server.run_dir / "proxy") if Path(path).name not in ALWAYS_THERE
        ],
    }


def guards_boxes(server: Hakoiri) -> list[str]:
    """Return the boxes that the guard knows, and its trouble; its silence counts as a trouble."""
    user = pwd.getpwnam("hakoiri")
    socket = server.run_dir / "guard" / GUARD_SOCKET
    spec = ProcessSpec(
        "asker", ("-I", "-c", ASK, str(socket)), user.pw_uid, user.pw_gid, shown=(server.run_dir,)
    )
    asked = subprocess.run(
        launch_command(spec, shown=code_directories(), supervisor_pid=os.getpid()),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if asked.returncode:
        return [f"it does not answer: {asked.stderr.strip().rpartition(chr(10))[2]}"]
    told = json.loads(asked.stdout)
    return [*told["containers"], *([told["trouble"]] if told["trouble"] else [])]


def proxys_sockets(server: Hakoiri) -> list[str]:
    """Return whom the proxy holds a socket open for; its silence counts as one."""
    try:
        return sorted(one["container"] for one in _proxys_stats(server))
    except (OSError, http.client.HTTPException) as error:
        return [f"it does not answer: {error}"]


def _proxys_stats(server: Hakoiri) -> list[dict[str, Any]]:
    way = http.client.HTTPConnection("proxy", timeout=20)
    way.sock = socket.socket(socket.AF_UNIX)
    with closing(way):
        way.sock.connect(str(server.run_dir / "proxy" / CONTROL_SOCKET))
        way.request("GET", "/stats")
        told: list[dict[str, Any]] = json.load(way.getresponse())["sockets"]
        return told
