"""The credential proxy beside its peers: nginx, and a bare proxy on aiohttp.

Policy, record and scrubbing are on. Rounds are interleaved, so that what else the machine does hits
all alike; ratios count, not absolute numbers.
"""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

from benchmarks.proxy_bars import Line, latency_line, limit_line, rate_line
from hakoiri.wire.proxy import Bind

HOST: Final = "files.example.test"
SOCKETS: Final = 4
IDLE_SOCKETS: Final = 200
START_TIMEOUT_S: Final = 20
Numbers = dict[str, float]


@dataclass(frozen=True, slots=True)
class Site:
    """Everything that runs."""

    directory: Path
    port: int
    sse_port: int
    proxy_pid: int
    sockets: tuple[str, ...]

    def peers(self) -> dict[str, list[str]]:
        """Who is measured, and where they listen."""
        return {
            "direct": [str(self.port)],
            "ours": [self.sockets[0]],
            "aiohttp": [str(self.directory / "aiohttp.sock")],
            "nginx": [str(self.directory / "nginx.sock")],
        }


def measure(rounds: int, *, say: Callable[[str], None]) -> list[Line]:
    """Measure every row; raises RuntimeError when a process does not start."""
    with tempfile.TemporaryDirectory(prefix="hakoiri-bench-") as name, ExitStack() as stack:
        site = stack.enter_context(_site(Path(name)))
        lines = []
        for row in (_idle, _small_alone, _small_many, _big_alone, _big_many, _signed, _held, _sse):
            say(row.__name__.strip("_").replace("_", " "))
            lines += row(site, rounds)
        return lines


def _small_alone(site: Site, rounds: int) -> list[Line]:
    found = _interleaved(site, rounds, "1k", clients=1, requests=1500)
    return [latency_line("1 KiB, c=1, added", found, p50_ms=0.6, p99_ms=2)]


def _small_many(site: Site, rounds: int) -> list[Line]:
    found = _interleaved(site, rounds, "1k", clients=32, requests=6400)
    return [
        rate_line("1 KiB, c=32", found, peer="aiohttp", least=1.0),
        rate_line("1 KiB, c=32 (aim)", found, peer="nginx", least=0.5),
    ]


def _big_alone(site: Site, rounds: int) -> list[Line]:
    found = _interleaved(site, rounds, "1m", clients=1, requests=200)
    return [rate_line("1 MiB, c=1", found, peer="aiohttp", least=0.9)]


def _big_many(site: Site, rounds: int) -> list[Line]:
    before = memory_mb(site.proxy_pid)
    found = _interleaved(site, rounds, "1m", clients=32, requests=640)
    grown = limit_line(
        "1 MiB, c=32, memory grown", memory_mb(site.proxy_pid) - before, limit=32, unit="MB"
    )
    return [rate_line("1 MiB, c=32", found, peer="aiohttp", least=0.9), grown]


def _signed(site: Site, rounds: int) -> list[Line]:
    asked = {"method": "POST", "target": "/model/bench/invoke", "body": 50 * 1024}
    found = _interleaved(site, rounds, "", only=("direct", "ours"), requests=500, **asked)
    return [latency_line("SigV4, 50 KiB body, added", found, p50_ms=1, p99_ms=None)]


def _held(site: Site, rounds: int) -> list[Line]:
    del rounds
    before = memory_mb(site.proxy_pid)
    asked = {"method": "POST", "target": "/model/bench/invoke", "body": 20 * 1024 * 1024}
    _load(site, [site.sockets[0]], "", clients=4, requests=8, **asked)
    grown = (memory_mb(site.proxy_pid) - before) / 4
    return [limit_line("SigV4, 20 MiB body, memory a request", grown, limit=4, unit="MB")]


def _sse(site: Site, rounds: int) -> list[Line]:
    lines = []
    for clients, every_ms, limit_ms in ((8, 20, 3.0), (200, 50, 20.0)):
        late = []
        for _ in range(rounds):
            target = f"http://{HOST}:{site.sse_port}/sse/{every_ms}"
            asked = {"clients": clients, "target": target, "events": True}
            ours = _load(site, list(site.sockets), "", **asked)
            direct = _load(site, [str(site.sse_port)], "", **asked)
            late.append(ours["p99_ms"] - direct["p99_ms"])
        work = f"SSE, {clients} at {every_ms} ms, added p99"
        lines.append(limit_line(work, sorted(late)[len(late) // 2], limit=limit_ms, unit="ms"))
    return lines


def _idle(site: Site, rounds: int) -> list[Line]:
    del rounds
    used = memory_mb(site.proxy_pid)
    return [limit_line(f"{IDLE_SOCKETS} bound sockets, idle", used, limit=120, unit="MB")]


def _interleaved(
    site: Site, rounds: int, file: str, *, only: tuple[str, ...] | None = None, **asked: Any
) -> dict[str, list[Numbers]]:
    found: dict[str, list[Numbers]] = {}
    for _ in range(rounds):
        for who, to in site.peers().items():
            if only is None or who in only:
                found.setdefault(who, []).append(_load(site, to, file, **asked))
    return found


def _load(site: Site, to: list[str], file: str, **asked: Any) -> Numbers:
    asked.setdefault("target", f"http://{HOST}:{site.port}/{file}")
    asked["host"] = asked["target"].split("/")[2] if "://" in asked["target"] else "model"
    arguments = ["--to", *to]
    for name, value in asked.items():
        arguments += [f"--{name}"] if value is True else [f"--{name}", str(value)]
    command = [sys.executable, "-m", "benchmarks.proxy_loader", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-2000:])
    numbers: Numbers = json.loads(done.stdout)
    return numbers


def memory_mb(pid: int) -> float:
    """Return the resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} is gone")


@contextmanager
def _site(directory: Path) -> Iterator[Site]:
    if shutil.which("nginx") is None:
        raise RuntimeError("nginx is missing; install it (Debian: apt-get install nginx-light)")
    directory.chmod(0o755)
    port, sse_port = 18931, 18932
    with ExitStack() as stack:
        stack.enter_context(_nginx(directory, port))
        python = [sys.executable]
        for command in (
            [*python, "-m", "benchmarks.peers.sse_upstream", str(sse_port)],
            [*python, "-m", "benchmarks.peers.bare_aiohttp", f"{directory}/aiohttp.sock",
             f"http://127.0.0.1:{port}"],
        ):  # fmt: skip
            stack.enter_context(_running(command))
        pid = stack.enter_context(_proxy(directory, port, sse_port))
        sockets = asyncio.run(_bind(directory, port, sse_port))
        _wait_for(directory / "aiohttp.sock")
        yield Site(directory, port, sse_port, pid, sockets)


@contextmanager
def _running(command: list[str], **more: Any) -> Iterator[int]:
    process = subprocess.Popen(command, **more)
    try:
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)


@contextmanager
def _nginx(directory: Path, port: int) -> Iterator[None]:
    content = directory / "content"
    content.mkdir()
    (content / "1k").write_bytes(b"x" * 1024)
    (content / "1m").write_bytes(b"x" * 1024 * 1024)
    server = "access_log off; keepalive_requests 1000000; client_max_body_size 64m;"
    (directory / "nginx.conf").write_text(f"""
daemon off; worker_processes 1; pid {directory}/nginx.pid; error_log stderr crit;
events {{ worker_connections 2048; }}
http {{
  upstream files {{ server 127.0.0.1:{port}; keepalive 64; }}
  server {{ listen 127.0.0.1:{port}; {server} root {content};
    location /model/ {{ client_body_buffer_size 64m; proxy_pass http://127.0.0.1:{port}/1k-ok; }}
    location /1k-ok {{ return 200 "ok"; }} }}
  server {{ listen unix:{directory}/nginx.sock; {server}
    location / {{ proxy_pass http://files; proxy_http_version 1.1;
      proxy_set_header Connection ""; }} }}
}}
""")
    with _running(["nginx", "-c", f"{directory}/nginx.conf", "-p", str(directory)]):
        _wait_for(directory / "nginx.sock")
        yield


@contextmanager
def _proxy(directory: Path, port: int, sse_port: int) -> Iterator[int]:
    (directory / "sockets").mkdir()
    (directory / "state").mkdir(mode=0o700)
    file = directory / "proxy.toml"
    file.write_text(f"""
[credentials.bench]
kind = "aws"
source = "static"
access_key_id_env = "BENCH_ID"
secret_access_key_env = "BENCH_SECRET"
services = ["bedrock"]
regions = ["us-east-1"]
endpoint = "http://127.0.0.1:{port}"
[network]
allow_addresses = ["127.0.0.1:{port}", "127.0.0.1:{sse_port}"]
[network.hosts]
"{HOST}" = "127.0.0.1"
""")
    file.chmod(0o600)
    command = [sys.executable, "-m", "hakoiri.credential_proxy"]
    for option in ("sockets-dir=sockets", "control=control.sock", "file=proxy.toml",
                   "state-dir=state"):  # fmt: skip
        name, _, path = option.partition("=")
        command += [f"--{name}", f"{directory}/{path}"]
    secrets = {"BENCH_ID": "AKIDEXAMPLE", "BENCH_SECRET": "not-a-secret"}
    with (
        (directory / "decisions.log").open("wb") as log,
        _running(command, stdout=log, env={**os.environ, **secrets}) as pid,
    ):
        _wait_for(directory / "control.sock")
        yield pid


async def _bind(directory: Path, port: int, sse_port: int) -> tuple[str, ...]:
    rules = [{"host": HOST, "ports": [port, sse_port]}]
    policy = {"rules": rules, "model": {"provider": "bedrock", "credential": "bench"}}
    connector = aiohttp.UnixConnector(str(directory / "control.sock"))
    async with aiohttp.ClientSession("http://control", connector=connector) as session:
        for index in range(IDLE_SOCKETS):
            path = f"/sockets/c{index}"
            bind = {"workspace": f"w{index}", "tenant": "t", "generation": 1, "policy": policy}
            body = Bind.model_validate(bind).model_dump_json()
            for method, at, data in (("PUT", path, None), ("PUT", f"{path}/binding", body)):
                async with session.request(method, at, data=data) as answer:
                    answer.raise_for_status()
    return tuple(f"{directory}/sockets/c{index}/proxy.sock" for index in range(SOCKETS))


def _wait_for(path: Path) -> None:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while not path.exists():
        if time.monotonic() > deadline_s:
            raise RuntimeError(f"{path.name} did not come up")
        time.sleep(0.05)
    time.sleep(0.2)
