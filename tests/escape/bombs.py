"""Programs that use up what a box shares with its neighbours, each for some seconds."""

from typing import Final

LASTS_S: Final = 6


def _python(code: str) -> str:
    head = f"import mmap, os, socket, time\nend = time.time() + {LASTS_S}"
    return f"timeout 20 python3 - <<'END' 2>&1 | tail -n 1\n{head}{code}END\necho over"


BOMBS: Final = {
    "fork bomb": _python("""
while time.time() < end:
    try:
        os.fork()
    except OSError:
        time.sleep(0.05)
"""),
    "memory bomb": _python("""
held = []
while time.time() < end:
    held.append(mmap.mmap(-1, 1 << 24))
    held[-1].write(b"x" * (1 << 24))
"""),
    "flood of descriptors": _python("""
for _ in range(20):
    if os.fork() == 0:
        break
try:
    while True:
        os.dup(0)
except OSError:
    time.sleep(max(0, end - time.time()))
"""),
    "flood of sockets to the proxy": _python("""
held = []
while time.time() < end and len(held) < 3000:
    try:
        held.append(socket.create_connection(("127.0.0.1", 3128), 2))
        held[-1].send(b"GET ")
    except OSError:
        time.sleep(0.05)
time.sleep(max(0, end - time.time()))
"""),
    "flood of zombies": _python("""
while time.time() < end:
    try:
        if os.fork() == 0:
            os._exit(0)
    except OSError:
        time.sleep(0.05)
"""),
    "flood of orphans": _python("""
while time.time() < end:
    try:
        child = os.fork()
    except OSError:
        time.sleep(0.05)
        continue
    if child == 0:
        try:
            os.fork()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
"""),
    "fill /dev/shm": (
        "dd if=/dev/zero of=/dev/shm/fill bs=1M count=4096 2>&1 | head -n 1; "
        f"sleep {LASTS_S}; rm -f /dev/shm/fill; echo over"
    ),
    "fill /tmp": (
        "dd if=/dev/zero of=/tmp/fill bs=1M count=4096 2>&1 | head -n 1; "
        f"sleep {LASTS_S}; rm -f /tmp/fill; echo over"
    ),
    "burn all processors": (
        f"for n in 1 2 3 4 5 6 7 8; do timeout {LASTS_S} sh -c 'while :; do :; done' & done; "
        "wait; echo over"
    ),
    "flood of output": f"timeout {LASTS_S} yes flood | head -c 300000000; echo over",
}  # fmt: skip
