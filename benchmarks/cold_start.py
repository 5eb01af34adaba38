"""Cold and live turns of a whole server, interleaved with plain containers of the same image.

In each round, in an order that rotates: one `docker run`, the bare steps of a start, and one
conversation with a cold turn and a live one. A conversation is deleted after its turns, and the
next sample waits until its container is gone. Clocks are the host's wall clock throughout, because
the model's requests are timed in another process.
"""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.request import urlopen

from benchmarks.orchestrator_bars import DOCKER_RUN, lines_of
from benchmarks.plain_container import plain_container
from benchmarks.report import Part, Report, in_turns
from hakoiri.cli.demo.server_process import ServerProcess, free_port
from hakoiri.cli.workspace_image import workspace_image
from hakoiri.host.containers.box import read_box
from hakoiri.host.settings import DEFAULT_DOCKER_HOST, load

TEXT = "Write the file, please."
GONE_TIMEOUT_S = 30.0
ANSWER_TYPES = frozenset({"text_delta", "thinking_delta", "tool_use"})


@dataclass(frozen=True, slots=True)
class Site:
    """A running server on the rehearsal model."""

    root: Path
    server: ServerProcess
    rehearsal_port: int
    engine_host: str

    def conversation(self, report: Report) -> None:
        """Add a cold turn and a live one of a fresh conversation, then remove it."""
        made = self.server.api.call("POST", "/v1/conversations", {})["id"]
        self.turn(report, made, "cold")
        self.turn(report, made, "live")
        self.server.api.call("DELETE", f"/v1/conversations/{made}")
        self.until_gone()

    def turn(self, report: Report, conversation: str, start: str) -> None:
        """Add one turn, which must find its container as `start` says."""
        seen_s: dict[str, float] = {}
        posted_s = time.time()
        for event in self.server.api.send(conversation, TEXT):
            kind = "first answer" if event["type"] in ANSWER_TYPES else event["type"]
            seen_s.setdefault(kind, time.time())
            if kind == "turn_started" and event["data"]["start"] != start:
                raise RuntimeError(f"the turn was {event['data']['start']}, not {start}")
        if "result" not in seen_s:
            raise RuntimeError(f"the turn failed:\n{self.server.log_tail()}")
        seen_s["first model request"] = self._first_model_request_s(posted_s)
        for kind in ("turn_started", "first model request", "first answer", "result"):
            report.add(f"{start}: message to {kind}", (seen_s[kind] - posted_s) * 1000)
        working_s = seen_s["first model request"] - seen_s["turn_started"]
        report.add(f"{start}: turn_started to first model request", working_s * 1000)

    def _first_model_request_s(self, after_s: float) -> float:
        url = f"http://127.0.0.1:{self.rehearsal_port}/_rehearsal/requests"
        with urlopen(url, timeout=10) as answer:
            journal = json.load(answer)["requests"]
        # the CLI asks for other things while it starts; only the message's own request counts
        times_s = [
            datetime.fromisoformat(entry["time"]).timestamp()
            for entry in journal
            if TEXT in entry["user_text"]
        ]
        return min(time_s for time_s in times_s if time_s >= after_s)

    def until_gone(self) -> None:
        """Wait until neither a container nor a directory of the server's is left."""
        instance = (self.root / "data" / "instance").read_text(encoding="ascii").strip()
        label = f"label=hakoiri.instance={instance}"
        docker = ("docker", "--host", self.engine_host)
        deadline_s = time.monotonic() + GONE_TIMEOUT_S
        command = [*docker, "ps", "--all", "--quiet", "--filter", label]
        boxes = self.root / "live" / instance
        while subprocess.run(command, check=True, capture_output=True).stdout or any(
            boxes.iterdir()
        ):
            if time.monotonic() > deadline_s:
                raise RuntimeError("the conversation's container was not removed")
            time.sleep(0.05)


def measure(samples: int, *, say: Callable[[str], None]) -> Report:
    """Measure; the first round warms caches and is not counted."""
    engine_host = os.environ.get("HAKOIRI_DOCKER_HOST", DEFAULT_DOCKER_HOST)
    rehearsal_port = free_port()
    report = Report("Starts and turns", baseline=DOCKER_RUN)
    with tempfile.TemporaryDirectory(prefix="hakoiri-bench-") as name:
        root = Path(name)
        root.chmod(0o755)  # the server runs as a user of its own
        server = ServerProcess(
            environment=server_environment(root, rehearsal_port), log=root / "server.log"
        )
        settings = load(data_dir=root / "data", docker_host=engine_host)
        image = settings.container.image or workspace_image()
        report.notes = machine_notes(engine_host, image)
        box = read_box(settings, instance="bench")
        say("starting a server with the rehearsal model")
        with (
            server,
            plain_container(engine_host=engine_host, box=box, image_id=image) as plain,
        ):
            site = Site(root, server, rehearsal_port, engine_host)
            parts: list[Part] = [plain.docker_run, plain.steps, site.conversation]
            in_turns(parts, samples, report, say=say)
    report.samples_ms = dict(sorted(report.samples_ms.items(), key=_place))
    report.lines = lines_of(report)
    return report


def machine_notes(engine_host: str, image: str) -> dict[str, str]:
    """Return what a report says of the engine and the image."""
    return {"engine": _engine(engine_host), "image": image}


def server_environment(root: Path, rehearsal_port: int) -> dict[str, str]:
    """Return the settings of a server on the rehearsal model, with all it keeps below `root`.

    It has no warm pool.
    """
    own = root / "proxy"
    own.mkdir()
    return {
        "HAKOIRI_DATA_DIR": str(root / "data"),
        "HAKOIRI_GUARD__LIVE_DIR": str(root / "live"),
        "HAKOIRI_AUDIT__DIR": str(root / "audit"),
        "HAKOIRI_CONTAINER__PROBE_AT_START": "false",
        "HAKOIRI_WARM_POOL__MIN": "0",
        "HAKOIRI_MODEL__PROVIDER": "rehearsal",
        "HAKOIRI_MODEL__REHEARSAL_PORT": str(rehearsal_port),
        "HAKOIRI_PROXY__FILE": str(own / "proxy.toml"),
        "HAKOIRI_PROXY__ENV_FILE": str(own / "proxy.env"),
        "HAKOIRI_PROXY__STATE_DIR": str(root / "proxy-state"),
    }


def _engine(engine_host: str) -> str:
    command = ["docker", "--host", engine_host, "version", "--format", "{{.Server.Version}}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _place(entry: tuple[str, list[float]]) -> int:
    """Order by kind; a stable sort keeps each kind's own order."""
    return ("docker", "step:", "cold:", "live:").index(entry[0].split()[0])
