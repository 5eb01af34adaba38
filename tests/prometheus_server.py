"""A real Prometheus of our own, set up as `deployment/monitoring/prometheus` says, but quicker."""

import json
import math
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml

from hakoiri.cli.demo.server_process import free_port

ROOT = Path(__file__).parents[1]
CONFIGURATION = ROOT / "deployment/monitoring/prometheus"
PROGRAM = shutil.which("prometheus") or str(ROOT / "build/tools/prometheus")
START_TIMEOUT_S = 60.0
STEP_S = 2
"""Between two looks at the server; between two of the rules' evaluations."""

Series = dict[str, Any]
"""`metric` (its labels) and `values` (pairs of a Unix time and a number as text)."""


@dataclass(frozen=True, slots=True)
class Prometheus:
    """Answers on 127.0.0.1 at `port`."""

    port: int

    def ask(self, path: str, **query: str) -> Any:
        """Return the answer's data."""
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urlencode(query)}"
        with urlopen(url, timeout=30) as answer:
            return json.load(answer)["data"]

    def over_time(self, expr: str, *, since_s: float, until_s: float) -> list[Series]:
        """Return what the expression gave at each step."""
        found: list[Series] = self.ask(
            "query_range", query=expr, start=str(since_s), end=str(until_s), step=str(STEP_S)
        )["result"]
        return found

    def names(self) -> set[str]:
        """All names of series that there have been."""
        return set(self.ask("label/__name__/values"))

    def described(self) -> set[str]:
        """All families that a page told of, with or without a series."""
        return set(self.ask("metadata"))


def numbers(series: list[Series]) -> list[float]:
    """Return all that are numbers indeed: a quantile of nothing is none."""
    values = [float(value) for one in series for _, value in one["values"]]
    return [value for value in values if math.isfinite(value)]


@contextmanager
def prometheus(directory: Path, *, target: str) -> Iterator[Prometheus]:
    """Scrape `target`, a host and port, until the end; its rules are loaded, too."""
    assert Path(PROGRAM).exists(), "there is no Prometheus; run deployment/setup/host.sh --for test"
    configuration = yaml.safe_load((CONFIGURATION / "prometheus.yml").read_text())
    every = {"scrape_interval": f"{STEP_S}s", "evaluation_interval": f"{STEP_S}s"}
    configuration["global"] = {**every, "scrape_timeout": f"{STEP_S}s"}
    configuration["rule_files"] = [
        str(CONFIGURATION / name) for name in configuration["rule_files"]
    ]
    for job in configuration["scrape_configs"]:
        job["static_configs"] = [{"targets": [target]}]
    (directory / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    made = Prometheus(free_port())
    with (directory / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                PROGRAM,
                f"--config.file={directory / 'prometheus.yml'}",
                f"--storage.tsdb.path={directory / 'series'}",
                f"--web.listen-address=127.0.0.1:{made.port}",
                "--log.level=warn",
            ],
            cwd=directory,
            stdout=log,
            stderr=log,
        )
        try:
            _until_up(made, process, directory / "prometheus.log")
            yield made
        finally:
            process.terminate()
            process.wait()


def _until_up(made: Prometheus, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while True:
        with suppress(URLError, OSError):
            if made.ask("query", query="vector(1)")["result"]:
                return
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline_s, "Prometheus did not come up"
        time.sleep(0.05)
