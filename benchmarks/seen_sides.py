"""Servers that differ only in how they are seen, each with a box that lives, and what they use."""

import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.cold_start import server_environment
from benchmarks.live_sync import turn
from benchmarks.tracing import SCRIPT
from hakoiri.cli.demo.server_process import ServerProcess, free_port

WARM_UP_TURNS: Final = 4
NS_PER_MS: Final = 1_000_000
OURS: Final = {
    "hakoiri.host": "server",
    "hakoiri.credential_proxy": "proxy",
    "hakoiri.docker_guard": "guard",
    "hakoiri.audit": "audit keeper",
    "hakoiri.audit.reader": "audit reader",
}
"""Our processes by the module that they run; others of the supervisor's are not counted."""


@dataclass
class Side:
    """A server, a conversation that lives, and its processes."""

    server: ServerProcess
    conversation: str
    pids: dict[int, str]
    before: dict[str, int] = field(default_factory=dict)

    def lap(self) -> dict[str, float]:
        """Return the processors' time since the last lap in ms, by process."""
        now: dict[str, int] = {}
        for pid, name in self.pids.items():
            now[name] = now.get(name, 0) + processor_ns(pid)
        since = {name: (now[name] - self.before.get(name, 0)) / NS_PER_MS for name in now}
        self.before = now
        return since

    def box_ms(self) -> float:
        """Return what the box's processes have used since it was started, in ms."""
        path = f"/v1/conversations/{self.conversation}/workspace/usage"
        seconds: float = self.server.api.call("GET", path)["cpu_seconds"]
        return seconds * 1000

    def work(self, turns: int) -> None:
        """Do so many turns, one after the other."""
        for _ in range(turns):
            turn(self.server, self.conversation, "work")


@contextmanager
def sides(settings: Mapping[str, Mapping[str, str]]) -> Iterator[dict[str, Side]]:
    """Start a server for each name, all at once; yield them warmed up."""
    stacks = {name: ExitStack() for name in settings}
    # its threads must live as long as the servers, which end with the thread that started them
    with ThreadPoolExecutor(len(stacks)) as threads:
        try:
            begun = {
                name: threads.submit(_side, stacks[name], told) for name, told in settings.items()
            }
            wait(begun.values())
            yield {name: side.result() for name, side in begun.items()}
        finally:
            list(threads.map(ExitStack.close, stacks.values()))


def processor_ns(pid: int) -> int:
    """Return what all threads of a process have used, ended ones too.

    Source: `clock_getcpuclockid(3)`; the kernel's clock id of another process
    (`include/linux/posix-timers.h`, CPUCLOCK_SCHED of the whole group).
    """
    return time.clock_gettime_ns((~pid << 3) | 2)


def _side(stack: ExitStack, settings: Mapping[str, str]) -> Side:
    root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hakoiri-bench-")))
    root.chmod(0o755)  # the server runs as a user of its own
    script = root / "script.yaml"
    script.write_text(SCRIPT, encoding="utf-8")
    environment = {**server_environment(root, free_port()), **settings}
    environment["HAKOIRI_MODEL__REHEARSAL_SCRIPT"] = str(script)
    if host := os.environ.get("HAKOIRI_DOCKER_HOST"):
        environment["HAKOIRI_DOCKER_HOST"] = host
    server = stack.enter_context(ServerProcess(environment=environment, log=root / "server.log"))
    conversation: str = server.api.call("POST", "/v1/conversations", {})["id"]
    side = Side(server, conversation, {})
    side.work(WARM_UP_TURNS)  # what is loaded at the first turn is not the cost of the others
    side.pids = _processes(server.pid)
    return side


def _processes(pid: int) -> dict[int, str]:
    """Return our processes below one, by what they are."""
    found: dict[int, str] = {}
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    for child in map(int, children):
        words = Path(f"/proc/{child}/cmdline").read_text(encoding="utf-8").split("\0")
        module = words[words.index("-m") + 1] if "-m" in words else ""
        if module in OURS:
            found[child] = OURS[module]
        found |= _processes(child)
    return found
