"""Programs that use up what a box shares with its neighbours, for some seconds without a pause.

Each counts what stopped it and says so at its end: `met EAGAIN 312, EMFILE 3`. One that met nothing
of what it should has not gone off, and what was seen beside it says nothing. Where a box dies of
its bomb, as gVisor's kernel may at the memory limit, the end of the turn says so in its place.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

LASTS_S: Final = 6
"""Without a pause; one that has met nothing by then goes on for a while."""

TRIES_S: Final = 18
CUT_S: Final = 25
TOLD_CHARS: Final = 200
OVER: Final = "over"
_COUNTED: Final = re.compile(r"^rounds (?P<rounds>\d+) met (?P<met>.*)$", re.MULTILINE)
FILES: Final = 20_000

_HEAD: Final = f"""
import collections, errno, mmap, os, shutil, socket, sys, time
first, began, met, rounds = os.getpid(), time.monotonic(), collections.Counter(), 0
def under_way():
    passed = time.monotonic() - began
    return passed < {LASTS_S} or (not met and passed < {TRIES_S})
def refused(error):
    met[errno.errorcode.get(error.errno, type(error).__name__)] += 1
"""
_TAIL: Final = """
if os.getpid() != first:
    os._exit(0)
print("rounds", rounds, "met", ", ".join(f"{name} {count}" for name, count in met.items()) or "-")
"""


@dataclass(frozen=True, slots=True)
class Bomb:
    """A command, and what must stop it: one of the words that it counts.

    `kills` are the runtimes under which it may take its own box along; `unmet` those under which
    nothing stops it in its time, and it must only have worked: gVisor's kernel keeps zombies and
    empty files in memory of the box alone. `is_throttled`: what stops it is seen from outside.
    """

    command: str
    stops: frozenset[str] = frozenset()
    kills: frozenset[str] = frozenset()
    unmet: frozenset[str] = frozenset()
    is_throttled: bool = False


def stopped_by(bomb: Bomb, runtime: str, events: Sequence[Mapping[str, Any]]) -> str:
    """Say what stopped a bomb, out of the events of its turn; nothing if it did not go off.

    The turn of a box that died goes on in another one: that is an event of its own.
    """
    lost = [event["data"]["reason"] for event in events if event["type"] == "container_recovered"]
    if lost:
        return f"its box died: {lost[0]}" if runtime in bomb.kills else ""
    said = "\n".join(event["data"]["text"] for event in events if event["type"] == "tool_result")
    if bomb.is_throttled:
        return "throttled" if said.strip() == OVER else ""
    counted = _COUNTED.search(said)
    words = counted["met"] if counted else said[:TOLD_CHARS]
    if any(word in words for word in bomb.stops):
        return words
    worked = runtime in bomb.unmet and counted is not None and int(counted["rounds"]) > 0
    return f"nothing, {counted['rounds']} rounds" if counted and worked else ""


def _python(code: str) -> str:
    return (
        f"timeout {CUT_S} python3 - <<'END' 2>&1 | tail -n 2\n{_HEAD}{code}{_TAIL}END\necho {OVER}"
    )


def _fill(directory: str) -> Bomb:
    """Write until nothing more goes in, take it all away, and write again."""
    return Bomb(
        _python(f"""
place, piece = "{directory}/fill", b"x" * (1 << 20)
while under_way():
    os.mkdir(place)
    try:
        for number in range(1 << 16):
            with open(f"{{place}}/{{number}}", "wb", 0) as file:
                for _ in range(16):
                    file.write(piece)
            if not under_way():
                break
    except OSError as error:
        refused(error)
    shutil.rmtree(place)
    rounds += 1
"""),
        frozenset({"ENOSPC", "EDQUOT"}),
    )


def _many(directory: str, *, unmet: str = "") -> Bomb:
    """Make empty files until there can be no more, take them away, and make them again."""
    return Bomb(
        _python(f"""
place = "{directory}/many"
while under_way():
    os.mkdir(place)
    try:
        for number in range({FILES}):
            os.mknod(f"{{place}}/{{number}}")
            if not number % 256 and not under_way():
                break
    except OSError as error:
        refused(error)
    shutil.rmtree(place)
    rounds += 1
"""),
        frozenset({"ENOSPC", "EDQUOT"}),
        unmet=frozenset({unmet} - {""}),
    )


BOMBS: Final[dict[str, Bomb]] = {
    "fork bomb": Bomb(
        _python("""
while under_way():
    try:
        os.fork()
        rounds += 1
    except OSError as error:
        refused(error)
        time.sleep(0.05)
"""),
        frozenset({"EAGAIN"}),
        kills=frozenset({"runsc"}),
    ),
    "memory bomb": Bomb(
        _python("""
while under_way():
    child = os.fork()
    if child == 0:
        held = []
        try:
            while True:
                held.append(mmap.mmap(-1, 1 << 24))
                held[-1].write(b"x" * (1 << 24))
        except (MemoryError, OSError):
            os._exit(12)
    _, status = os.waitpid(child, 0)
    ends = {9: "killed", 12 << 8: "ENOMEM"}
    met[ends.get(status, f"status {status}")] += 1
    rounds += 1
"""),
        frozenset({"killed", "ENOMEM"}),
        kills=frozenset({"runsc"}),
    ),
    "flood of descriptors": Bomb(
        _python("""
for _ in range(20):
    if os.fork() == 0:
        break
while under_way():
    held = []
    try:
        while True:
            held.append(os.dup(0))
    except OSError as error:
        refused(error)
    for one in held:
        os.close(one)
    rounds += 1
"""),
        frozenset({"EMFILE", "ENFILE"}),
        kills=frozenset({"runsc"}),  # its kernel keeps them in the box's own memory
    ),
    "flood of sockets to the proxy": Bomb(
        _python("""
while under_way():
    held = []
    try:
        while len(held) < 3000 and under_way():
            held.append(socket.create_connection(("127.0.0.1", 3128), 2))
            held[-1].send(b"GET ")
    except OSError as error:
        refused(error)
    for one in held:
        one.setblocking(False)
        try:
            met["cut"] += one.recv(1) == b""
        except BlockingIOError:
            pass
        except OSError as error:
            refused(error)
        one.close()
    met += collections.Counter()  # what is none is not there
    rounds += 1
"""),
        frozenset({"cut", "ECONNRESET", "ECONNREFUSED", "EPIPE", "TimeoutError"}),
    ),
    "flood of zombies": Bomb(
        _python("""
dead = 0
while under_way():
    try:
        if os.fork() == 0:
            os._exit(0)
        dead += 1
        rounds += 1
    except OSError as error:
        refused(error)
        for _ in range(dead):
            os.wait()
        dead = 0
"""),
        frozenset({"EAGAIN"}),
        unmet=frozenset({"runsc"}),
    ),
    "flood of orphans": Bomb(
        _python("""
until, alive = os.pipe()
while under_way():
    try:
        child = os.fork()
        if child == 0:
            try:
                if os.fork() == 0:
                    os.close(alive)
                    os.read(until, 1)
            except OSError as error:
                os._exit(error.errno)  # it has the last place, so its own child has none
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            raise OSError(os.waitstatus_to_exitcode(status), "")
        rounds += 1
    except OSError as error:
        refused(error)
        os.close(alive)  # their end
        os.close(until)
        time.sleep(0.05)
        until, alive = os.pipe()
"""),
        frozenset({"EAGAIN"}),
        kills=frozenset({"runsc"}),
    ),
    "fill /dev/shm": _fill("/dev/shm"),  # noqa: S108 - in the box, as is what follows
    "fill /tmp": _fill("/tmp"),  # noqa: S108
    "fill /workspace": _fill("/workspace"),
    "fill the home": _fill("/home/agent"),
    "flood of files in /tmp": _many("/tmp", unmet="runsc"),  # noqa: S108
    "flood of files in /workspace": _many("/workspace"),
    "flood of files in the home": _many("/home/agent"),
    "burn all processors": Bomb(
        f"for n in 1 2 3 4 5 6 7 8; do timeout {LASTS_S} sh -c 'while :; do :; done' & done; "
        f"wait; echo {OVER}",
        is_throttled=True,
    ),
    "flood of output": Bomb(f"timeout {LASTS_S} yes flood; echo {OVER}", frozenset({"Disk full"})),
}
