"""`runc` beside `runsc`: a start, a turn, a build with many system calls, and memory.

Each by the clock, and by the processor time that the kernel charges the container for: what else
the machine does at the moment moves the first and hardly the second.
"""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from tests.e2e.running import Hakoiri, data_of, hakoiri
from tests.e2e.scripts import RUN

from benchmarks.report import Report
from hakoiri.cli.workspace_image import workspace_image
from hakoiri.host.settings import DEFAULT_DOCKER_HOST

RUNTIMES: Final = ("runc", "runsc")
BUILD: Final = r"""
rm -rf /workspace/build && mkdir /workspace/build && cd /workspace/build
since=$(date +%s%N)
lap() { now=$(date +%s%N); echo "$1 $(((now - since) / 1000000))"; since=$now; }
python3 - <<'END'
import pathlib
pathlib.Path("source").mkdir()
for number in range(200):
    text = f"int f{number}(int x) {{ return x + {number}; }}\n"
    pathlib.Path(f"source/f{number}.c").write_text(text)
END
lap "200 files written"
git init -q source && cd source && git add .
git -c user.name=t -c user.email=t@example.test commit -qm x
cd .. && git clone -q source clone
lap "git: add, commit, clone"
cd clone && for n in $(seq 0 9); do gcc -O1 -c f$n.c -o f$n.o; done && gcc -shared -o all.so f*.o
lap "gcc: 10 files and a link"
python3 -c 'import json, asyncio, http.server, sqlite3, ssl'
lap "Python with some imports"
find /usr/lib -type f | wc -l > /dev/null
lap "walk of /usr/lib"
"""


def measure(samples: int, *, say: Callable[[str], None]) -> Report:
    """Measure both runtimes in turns; the first round warms caches and is not counted."""
    report = Report("runc and runsc")
    host = os.environ.get("HAKOIRI_DOCKER_HOST", DEFAULT_DOCKER_HOST)
    with ExitStack() as stack:
        servers: dict[str, Hakoiri] = {}
        for runtime in RUNTIMES:
            root = stack.enter_context(tempfile.TemporaryDirectory(prefix="hakoiri-bench-"))
            settings = {
                "HAKOIRI_CONTAINER__IMAGE": workspace_image(),
                "HAKOIRI_CONTAINER__RUNTIME": runtime,
            }
            servers[runtime] = stack.enter_context(
                hakoiri(Path(root), docker_host=host, script=RUN, settings=settings)
            )
        for number in range(samples + 1):
            say(f"round {number} of {samples}")
            for runtime, server in servers.items():
                _round(server, runtime, report if number else Report("warm-up"))
    report.samples_ms = dict(
        sorted(report.samples_ms.items(), key=lambda one: one[0].partition(": ")[2])
    )
    return report


def _round(server: Hakoiri, runtime: str, report: Report) -> None:
    conversation = server.conversation()
    first, live = f"{runtime}: first turn, with a start", f"{runtime}: live turn"
    events = _timed(server, conversation, "run: true", report, first)
    (started,) = data_of(events, "turn_started")
    container = started["container"]
    used_ms = [processor_ms(server, container)]
    _timed(server, conversation, "run: true", report, live)
    used_ms.append(processor_ms(server, container))
    most = max(memory_mib(server, container), int(report.notes.get(f"{runtime} MiB", "0")))
    report.notes[f"{runtime} MiB"] = str(most)
    built = server.turn(conversation, f"run: {BUILD}")
    used_ms.append(processor_ms(server, container))
    for line in data_of(built, "tool_result")[0]["text"].splitlines():
        name, _, took_ms = line.rpartition(" ")
        if took_ms.isdecimal():
            report.add(f"{runtime}: {name}", float(took_ms))
    report.add(f"{first}: processor", used_ms[0])
    report.add(f"{live}: processor", used_ms[1] - used_ms[0])
    report.add(f"{runtime}: whole build: processor", used_ms[2] - used_ms[1])
    server.api.call("DELETE", f"/v1/conversations/{conversation}")


def _timed(
    server: Hakoiri, conversation: str, text: str, report: Report, name: str
) -> list[dict[str, Any]]:
    began_s = time.perf_counter()
    events = server.turn(conversation, text)
    if events[-1]["type"] != "result":
        raise RuntimeError(f"a turn failed: {events[-1]['data']}")
    report.add(name, (time.perf_counter() - began_s) * 1000)
    return events


def processor_ms(server: Hakoiri, container_id: str) -> float:
    """Return the processor time that the kernel has charged the container for since its start."""
    path = f"/v1.41/containers/hakoiri-{container_id}/stats?stream=false&one-shot=true"
    socket = server.docker_host.removeprefix("unix://")
    said = subprocess.run(
        ["curl", "-sf", "--unix-socket", socket, f"http://engine{path}"],
        check=True,
        capture_output=True,
    ).stdout
    used_ns: int = json.loads(said)["cpu_stats"]["cpu_usage"]["total_usage"]
    return used_ns / 1_000_000


def memory_mib(server: Hakoiri, container_id: str) -> int:
    """Return what the kernel charges the container for, after its turn."""
    command = ["docker", "--host", server.docker_host, "stats", "--no-stream"]
    said = subprocess.run(
        [*command, "--format", "{{.MemUsage}}", f"hakoiri-{container_id}"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return mebibytes(said.partition("/")[0])


def mebibytes(text: str) -> int:
    """Read what the engine prints of memory, such as `1.5GiB`."""
    units = {"GiB": 1024.0, "MiB": 1.0, "KiB": 1 / 1024}
    unit = next(unit for unit in units if text.strip().endswith(unit))
    return round(float(text.strip().removesuffix(unit)) * units[unit])
