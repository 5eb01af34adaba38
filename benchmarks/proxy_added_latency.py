"""How much the credential proxy adds to a signed 1 KiB request, one at a time.

Direct and through the proxy alternate in rounds in one run, against the same upstream on loopback.
"""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
from aiohttp import web

from benchmarks.report import Report
from hakoiri.wire.proxy import Bind

ROUND_REQUESTS = 200
BODY = b"x" * 1024
MODEL_PATH = "/model/bench/invoke"
START_TIMEOUT_S = 20


async def answer(request: web.BaseRequest) -> web.StreamResponse:
    await request.read()
    return web.Response(body=BODY)


async def start_proxy(directory: Path, port: int) -> asyncio.subprocess.Process:
    (directory / "sockets").mkdir()
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
allow_addresses = ["127.0.0.1:{port}"]
""")
    file.chmod(0o600)
    control = directory / "control.sock"
    arguments = ("--sockets-dir", directory / "sockets", "--control", control, "--file", file)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "hakoiri.credential_proxy", *map(str, arguments)),
        stdout=asyncio.subprocess.DEVNULL,
        env={**os.environ, "BENCH_ID": "AKIDEXAMPLE", "BENCH_SECRET": "not-a-secret"},
    )
    async with asyncio.timeout(START_TIMEOUT_S):
        while not control.is_socket():  # noqa: ASYNC110 - a process has no event to await
            await asyncio.sleep(0.02)
    return process


async def bind(directory: Path) -> Path:
    policy = {"model": {"provider": "bedrock", "credential": "bench"}}
    fields = {"workspace": "bench", "tenant": "bench", "generation": 1, "policy": policy}
    body = Bind.model_validate(fields).model_dump_json()
    connector = aiohttp.UnixConnector(str(directory / "control.sock"))
    async with aiohttp.ClientSession("http://proxy.test", connector=connector) as session:
        (await session.put("/sockets/bench")).raise_for_status()
        (await session.put("/sockets/bench/binding", data=body)).raise_for_status()
    return directory / "sockets" / "bench" / "proxy.sock"


async def time_requests(session: aiohttp.ClientSession, requests: int) -> list[float]:
    times_ms = []
    for _ in range(requests):
        started_s = time.perf_counter()
        async with session.post(MODEL_PATH, data=BODY) as response:
            await response.read()
            response.raise_for_status()
        times_ms.append((time.perf_counter() - started_s) * 1000)
    return times_ms


async def run(rounds: int, report: Report, say: Callable[[str], None]) -> None:
    server = web.Server(answer, access_log=None)
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="hakoiri-bench-") as name:
        process = await start_proxy(Path(name), port)
        connector = aiohttp.UnixConnector(str(await bind(Path(name))))
        async with (
            aiohttp.ClientSession(f"http://127.0.0.1:{port}") as direct,
            aiohttp.ClientSession("http://proxy.test", connector=connector) as proxied,
        ):
            await time_requests(proxied, ROUND_REQUESTS)
            for number in range(rounds):
                say(f"round {number + 1} of {rounds}")
                for time_ms in await time_requests(direct, ROUND_REQUESTS):
                    report.add("direct", time_ms)
                for time_ms in await time_requests(proxied, ROUND_REQUESTS):
                    report.add("through the proxy", time_ms)
        process.terminate()
        await process.wait()
    listening.close()
    await server.shutdown(1)


def measure(samples: int, *, say: Callable[[str], None]) -> Report:
    """Measure in as many rounds, each of `ROUND_REQUESTS` requests either way."""
    report = Report("A signed 1 KiB request, one at a time", baseline="direct")
    asyncio.run(run(samples, report, say))
    direct_ms, proxied_ms = map(statistics.median, report.samples_ms.values())
    report.notes["added p50"] = f"{proxied_ms - direct_ms:.3f} ms"
    return report
