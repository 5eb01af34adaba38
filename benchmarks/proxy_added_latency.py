"""How much the credential proxy adds to a signed 1 KiB request, one at a time.

Run: python benchmarks/proxy_added_latency.py [REQUESTS]
Direct and through the proxy alternate in rounds in one run, against the same upstream on loopback.
"""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
from aiohttp import web

from hakoiri.wire.proxy import Bind

ROUNDS = 5
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


async def measure(session: aiohttp.ClientSession, requests: int) -> list[float]:
    times_ms = []
    for _ in range(requests):
        started_s = time.perf_counter()
        async with session.post(MODEL_PATH, data=BODY) as response:
            await response.read()
            response.raise_for_status()
        times_ms.append((time.perf_counter() - started_s) * 1000)
    return times_ms


def report(name: str, times_ms: list[float]) -> None:
    p99 = statistics.quantiles(times_ms, n=100)[98]
    print(f"{name:8} n={len(times_ms)} p50={statistics.median(times_ms):.3f} ms p99={p99:.3f} ms")


async def main(requests: int) -> None:
    server = web.Server(answer, access_log=None)
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    with tempfile.TemporaryDirectory() as name:
        process = await start_proxy(Path(name), port)
        socket = await bind(Path(name))
        connector = aiohttp.UnixConnector(str(socket))
        async with (
            aiohttp.ClientSession(f"http://127.0.0.1:{port}") as direct,
            aiohttp.ClientSession("http://proxy.test", connector=connector) as proxied,
        ):
            direct_ms: list[float] = []
            proxied_ms: list[float] = []
            await measure(proxied, 100)
            for _ in range(ROUNDS):
                direct_ms += await measure(direct, requests)
                proxied_ms += await measure(proxied, requests)
        process.terminate()
        await process.wait()
    listening.close()
    await server.shutdown(1)
    report("direct", direct_ms)
    report("proxied", proxied_ms)
    added_ms = statistics.median(proxied_ms) - statistics.median(direct_ms)
    print(f"added p50: {added_ms:.3f} ms")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
