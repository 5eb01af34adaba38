"""`hakoiri proxy`: one socket, one policy, no server."""

import asyncio
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import pytest

from hakoiri.audit.chain import Position, follow
from hakoiri.audit.segments import read_chain

from .conftest import READY_TIMEOUT_S, Upstream, absolute, converse, statuses
from .connections import cut, opened

pytestmark = pytest.mark.anyio
HOST = "files.example.test"
DENIED = absolute("GET", "http://files.example.test/")


@dataclass
class Alone:
    process: asyncio.subprocess.Process
    directory: Path

    @property
    def socket(self) -> Path:
        return self.directory / "p.sock"

    async def told(self) -> str:
        """The next line on standard error."""
        assert self.process.stderr is not None
        async with asyncio.timeout(60):
            return (await self.process.stderr.readline()).decode()

    async def decided(self) -> str:
        """The next line of the decision log."""
        assert self.process.stdout is not None
        async with asyncio.timeout(60):
            return (await self.process.stdout.readline()).decode()


def arguments(directory: Path, *more: str) -> list[str]:
    options = {"listen": "p.sock", "policy": "policy.toml", "state-dir": "state"}
    return [
        *(sys.executable, "-m", "hakoiri.cli", "proxy"),
        *(
            text
            for name, value in options.items()
            for text in (f"--{name}", f"{directory}/{value}")
        ),
        *more,
    ]


async def run(directory: Path, *more: str) -> tuple[int, str]:
    """Run it to its end, which must be soon."""
    pipe = asyncio.subprocess.PIPE
    command = arguments(directory, *more)
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
    try:
        async with asyncio.timeout(READY_TIMEOUT_S):
            _, told = await process.communicate()
    finally:
        await end(process)
    assert process.returncode is not None
    return process.returncode, told.decode()


async def end(process: asyncio.subprocess.Process) -> None:
    """Kill what runs still."""
    if process.returncode is None:
        process.kill()
        await process.wait()


@asynccontextmanager
async def alone(directory: Path, *more: str) -> AsyncIterator[Alone]:
    pipe = asyncio.subprocess.PIPE
    command = arguments(directory, *more)
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
    made = Alone(process, directory)
    try:
        async with asyncio.timeout(READY_TIMEOUT_S):
            while not await answers(made.socket):
                assert process.returncode is None, await made.told()
                await asyncio.sleep(0.05)
        yield made
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
        assert not made.socket.exists()
    finally:
        await end(process)


async def answers(path: Path) -> bool:
    try:
        _, writer = await asyncio.open_unix_connection(path)
    except OSError:
        return False
    await cut(writer)
    return True


def credentials(directory: Path, port: int) -> Path:
    path = directory / "proxy.toml"
    path.write_text(
        f'[network]\nallow_addresses = ["127.0.0.1:{port}"]\n'
        f'[network.hosts]\n"{HOST}" = "127.0.0.1"\n'
    )
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("text", ["", "{}", "# nothing\n"])
async def test_an_empty_policy_denies_all(tmp_path: Path, text: str) -> None:
    (tmp_path / "policy.toml").write_text(text)
    async with alone(tmp_path) as proxy:
        assert proxy.socket.stat().st_mode & 0o777 == 0o600
        assert statuses(await converse(proxy.socket, DENIED)) == [403]
        assert '"host-not-allowed"' in await proxy.decided()
        connect = b"CONNECT files.example.test:443 HTTP/1.1\r\nHost: files.example.test:443\r\n\r\n"
        assert statuses(await converse(proxy.socket, connect)) == [403]
        model = b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
        assert statuses(await converse(proxy.socket, model)) == [400]


async def test_a_changed_policy_is_put_in_force_and_a_broken_one_is_not(
    tmp_path: Path, upstream: Upstream
) -> None:
    file = tmp_path / "policy.toml"
    file.write_text("")
    request = absolute("GET", f"http://{HOST}:{upstream.port}/")
    own = credentials(tmp_path, upstream.port)
    async with alone(tmp_path, "--credentials", str(own), "--mode", "666") as proxy:
        assert proxy.socket.stat().st_mode & 0o777 == 0o666
        assert statuses(await converse(proxy.socket, request)) == [403]
        file.write_text(f'[[rules]]\nhost = "{HOST}"\nports = [{upstream.port}]\n')
        proxy.process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(60):
            while statuses(await converse(proxy.socket, request)) != [200]:
                pass
        file.write_text('[[rules]]\nhost = "*"\n')
        proxy.process.send_signal(signal.SIGHUP)
        told = await proxy.told()
        assert "the old policy stays" in told
        assert "rules.0.host" in told
        assert statuses(await converse(proxy.socket, request)) == [200]


async def test_a_change_is_seen_without_a_signal_and_cuts_what_it_forbids(
    tmp_path: Path, upstream: Upstream
) -> None:
    file = tmp_path / "policy.toml"
    file.write_text(f'[[rules]]\nhost = "{HOST}"\nports = [{upstream.port}]\n')
    own = credentials(tmp_path, upstream.port)
    async with alone(tmp_path, "--credentials", str(own)) as proxy:
        reader, writer = await opened(proxy.socket)
        writer.write(absolute("GET", f"http://{HOST}:{upstream.port}/", "Accept: test/stream"))
        assert b"first" in await reader.readuntil(b"first\n\n")
        file.write_text("")
        async with asyncio.timeout(60):
            with suppress(ConnectionError):
                assert b"last" not in await reader.read()
            await upstream.gone.wait()
        writer.close()


async def test_a_second_one_does_not_take_the_socket_and_a_dead_ones_is_replaced(
    tmp_path: Path,
) -> None:
    (tmp_path / "policy.toml").write_text("")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "p.sock"))
    async with alone(tmp_path) as proxy:
        code, told = await run(tmp_path)
        assert (code, "somebody listens there already" in told) == (2, True)
        assert statuses(await converse(proxy.socket, DENIED)) == [403]


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        (("--credentials", "/absent/proxy.toml"), "cannot be opened"),
        (("--mode", "rwx"), "mode"),
        (("--listen", "/tmp/" + "x" * 120), "at most"),  # noqa: S108 - never made
        (("--listen", "/etc/hostname"), "is not a socket"),
        (("--policy", "/absent/policy.toml"), "/absent/policy.toml"),
    ],
)
async def test_what_cannot_be_used_is_told_with_exit_code_2(
    tmp_path: Path, more: tuple[str, ...], wanted: str
) -> None:
    (tmp_path / "policy.toml").write_text("")
    code, told = await run(tmp_path, *more)
    assert (code, wanted in told) == (2, True), told


async def test_files_are_checked_without_serving(tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    file.write_text('[[rules]]\nhost = "a.example.test"\ncredential = "absent"\n')
    code, told = await run(tmp_path, "--check")
    assert (code, "rules.0.credential" in told) == (2, True)
    file.write_text('{"rules": [{"host": "a.example.test"}]}')
    assert (await run(tmp_path, "--check"))[0] == 0
    assert not (tmp_path / "p.sock").exists()


async def test_what_it_decides_is_audited(tmp_path: Path) -> None:
    (tmp_path / "policy.toml").touch()
    async with alone(tmp_path, "--audit-dir", str(tmp_path / "audit")) as proxy:
        assert statuses(await converse(proxy.socket, DENIED)) == [403]
    lines = list(read_chain(tmp_path / "audit" / "proxy"))
    told = [json.loads(line)["metadata"]["event_code"] for line in lines]
    assert told == ["audit_log_opened", "proxy_request_blocked", "audit_log_closed"]
    assert reduce(follow, lines, Position()).sequence == 3


async def test_its_figures_are_told_on_a_socket_of_their_own(
    tmp_path: Path, upstream: Upstream
) -> None:
    (tmp_path / "policy.toml").write_text("")
    metrics = tmp_path / "m.sock"
    async with alone(tmp_path, "--metrics", str(metrics)) as proxy:
        assert statuses(await converse(proxy.socket, DENIED)) == [403]
        assert metrics.stat().st_mode & 0o777 == 0o660
        request = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        told = await converse(metrics, request)
        assert b'hakoiri_proxy_refusals_total{code="host-not-allowed"} 1.0' in told
        assert b'hakoiri_proxy_sockets{state="bound"} 1.0' in told
    assert not metrics.exists()


async def test_the_figures_socket_takes_no_place_of_another_file(tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text("")
    (tmp_path / "m.sock").write_text("precious")
    code, told = await run(tmp_path, "--metrics", str(tmp_path / "m.sock"))
    assert (code, "is not a socket" in told) == (2, True)
    assert (tmp_path / "m.sock").read_text() == "precious"
