"""Containers that an engine began to start as it was killed, and has forgotten.

What they hold is nobody's: no call to the engine reaches them. `hakoiri doctor` tells of them; the
storm does as it says, and counts them.
"""

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.chaos.site import Site

from hakoiri.cli.doctor.forgotten_disks import read_forgotten_disks
from hakoiri.host.containers.model import is_of

INIT: Final = "runc:["
"""How a container's first process is called until it becomes the container's own program."""


def end_forgotten(site: Site) -> None:
    """End what waits in the storm's engine for a start that nobody knows of; note whose it was."""
    for disk in read_forgotten_disks():
        for pid, end in zip(disk.holders, disk.ends, strict=True):
            if is_begun(pid, end, site.engine.run_directory):
                site.forgotten.add(disk.container_id)
                with suppress(ProcessLookupError):
                    os.kill(end, signal.SIGKILL)


def held_disks(site: Site) -> list[str]:
    """Return the removed containers of the servers whose disks somebody holds, and who."""
    instances = [server.instance for server in site.servers]
    return [
        f"{disk.container_id}: process {pid}"
        for disk in read_forgotten_disks()
        for pid in disk.holders
        if any(is_of(disk.container_id, instance) for instance in instances)
    ]


def is_begun(pid: int, shim: int, run_directory: Path) -> bool:
    """Whether it is the first process of a container of this engine, before its own program.

    The shim's command line names the engine's socket.
    """
    try:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
        command = Path(f"/proc/{shim}/cmdline").read_text()
    except OSError:
        return False
    return name.startswith(INIT) and f"{run_directory}/" in command
