"""Programs that take all they can get, for a container with limits and one without."""

from typing import Final

MEMORY: Final = """\
exec python3 -I - <<'PY'
# more than the container's memory, each page of it touched
held = bytearray(288 * 1024 * 1024)
for place in range(0, len(held), 4096):
    held[place] = 1
print("held it all")
PY
"""

PROCESSES: Final = """\
exec python3 -I - <<'PY'
import os, signal
children, error = [], 0
for _ in range(200):
    try:
        child = os.fork()
    except OSError as failed:
        error = failed.errno
        break
    if child == 0:
        signal.pause()
    children.append(child)
for child in children:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
print(len(children), error)
PY
"""

PROCESSOR: Final = """\
exec python3 -I - <<'PY'
import os, time
for _ in range(2):
    if os.fork() == 0:
        while time.process_time() < 1.5:
            pass
        os._exit(0)
for _ in range(2):
    os.wait()
print("counted")
PY
"""

BOMBS: Final = {"memory": MEMORY, "processes": PROCESSES, "processor": PROCESSOR}
