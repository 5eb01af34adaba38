"""Everything that runs for the proxy's benchmark: upstreams, the proxy, and its peers.

The proxy is as it would be in service: policy, decision log and metrics on, and a credential on the
model path, so that every answer there is searched for it.
"""

import asyncio
import base64
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha512
from pathlib import Path
from typing import Any, Final

import aiohttp
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from benchmarks.peers.mitmdump import command_of, find_mitmdump
from hakoiri.wire.proxy import Bind

HOST: Final = "files.example.test"
KEYED_HOST: Final = "keyed.example.test"
NEW_HOST: Final = "h{}.new.example.test"
NEW_HOSTS: Final = 240
SMALL_BYTES: Final = 1024
BIG_BYTES: Final = 1024 * 1024
TUNNEL_BYTES: Final = 1024**3
IDLE_SOCKETS: Final = 200
START_TIMEOUT_S: Final = 20

SMALL, BIG, TLS, SSE_20, SSE_50, MITM, MITM_BIG, MITM_CONNECT = range(18931, 18939)
"""Ports on loopback."""

MODELS: Final = {"small": SMALL, "big": BIG, "events20": SSE_20, "events50": SSE_50}
"""Sockets by what their model path leads to; `signed` goes to Bedrock."""

PER_KIND: Final = 4


@dataclass(frozen=True, slots=True)
class Site:
    """Everything that runs."""

    directory: Path
    proxy_pid: int
    sockets: dict[str, list[str]]
    mitmdump: str
    """Why mitmdump does not run; empty when it does."""

    def peers(self, kind: str) -> dict[str, list[str]]:
        """Return where each one listens that leads to the upstream `small` or `big`."""
        port = str(MODELS[kind])
        found = {
            "direct": [port],
            "ours": self.sockets[kind][:1],
            "aiohttp": [str(self.directory / f"aiohttp-{kind}.sock")],
            "nginx": [str(self.directory / f"nginx-{kind}.sock")],
        }
        mitm_port = MITM if kind == "small" else MITM_BIG
        return found if self.mitmdump else {**found, "mitmdump": [str(mitm_port)]}


@contextmanager
def running_site(directory: Path) -> Iterator[Site]:
    """Start all; raises RuntimeError when something does not start."""
    if shutil.which("nginx") is None:
        raise RuntimeError("nginx is missing; install it (Debian: apt-get install nginx-light)")
    directory.chmod(0o755)
    mitmdump = find_mitmdump()
    with ExitStack() as stack:
        _make_certificates(directory)
        stack.enter_context(_nginx(directory))
        peers = [["sse_upstream", f"{SSE_20}=20", f"{SSE_50}=50"]]
        peers += [
            ["bare_aiohttp", f"{directory}/aiohttp-{kind}.sock", f"http://127.0.0.1:{MODELS[kind]}"]
            for kind in ("small", "big")
        ]
        peers.append(["bare_relay", f"{directory}/relay.sock"])
        for name, *arguments in peers:
            command = [sys.executable, "-m", f"benchmarks.peers.{name}", *arguments]
            stack.enter_context(_running(command))
        if isinstance(mitmdump, Path):
            _start_mitmdump(stack, mitmdump, directory)
        pid = stack.enter_context(_proxy(directory))
        sockets = asyncio.run(_bind(directory))
        for name in ("aiohttp-small", "aiohttp-big", "relay"):
            wait_for(directory / f"{name}.sock")
        yield Site(directory, pid, sockets, mitmdump if isinstance(mitmdump, str) else "")


def memory_mb(pid: int, *, peak: bool = False) -> float:
    """Return the resident memory of a process, now or its peak since `forget_peak`."""
    wanted = "VmHWM:" if peak else "VmRSS:"
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(wanted):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} is gone")


def forget_peak(pid: int) -> None:
    """Count the peak of memory from now on (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")


def wait_for(path: Path) -> None:
    """Wait until a socket is there."""
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while not path.exists():
        if time.monotonic() > deadline_s:
            raise RuntimeError(f"{path.name} did not come up")
        time.sleep(0.05)
    time.sleep(0.2)


def _wait_for_port(port: int) -> None:
    """Wait until somebody listens on a port of loopback."""
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline_s:
                raise RuntimeError(f"port {port} did not come up") from None
            time.sleep(0.05)
        else:
            return


@contextmanager
def _running(command: list[str], **more: Any) -> Iterator[int]:
    process = subprocess.Popen(command, **more)
    try:
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()


def _start_mitmdump(stack: ExitStack, program: Path, directory: Path) -> None:
    modes = {
        MITM: f"reverse:http://127.0.0.1:{SMALL}",
        MITM_BIG: f"reverse:http://127.0.0.1:{BIG}",
        MITM_CONNECT: "regular",
    }
    for port, mode in modes.items():
        confdir = directory / f"mitm-{port}"
        command = command_of(program, mode=mode, port=port, confdir=confdir)
        stack.enter_context(_running(command, stdout=subprocess.DEVNULL))
    for port in modes:
        _wait_for_port(port)


@contextmanager
def _nginx(directory: Path) -> Iterator[None]:
    content = directory / "content"
    content.mkdir()
    line = b'{"type": "content_block_delta", "index": 0, "delta": {"text": "a word or two"}}\n'
    (content / "small").write_bytes((line * SMALL_BYTES)[:SMALL_BYTES])
    (content / "big").write_bytes((line * BIG_BYTES)[:BIG_BYTES])
    with (content / "tunnel").open("wb") as file:
        file.truncate(TUNNEL_BYTES)
    server = (
        f"access_log off; keepalive_requests 1000000; client_max_body_size 64m; root {content};"
    )
    servers = "".join(
        f"""
  upstream {kind} {{ server 127.0.0.1:{MODELS[kind]}; keepalive 64; }}
  server {{ listen 127.0.0.1:{MODELS[kind]}; {server}
    location = /v1/models {{ try_files /{kind} =404; }}
    location /model/ {{ client_body_buffer_size 64m; proxy_pass http://127.0.0.1:{SMALL}/ok; }}
    location /ok {{ return 200 "ok"; }} }}
  server {{ listen unix:{directory}/nginx-{kind}.sock; {server}
    location / {{ proxy_pass http://{kind}; proxy_http_version 1.1;
      proxy_set_header Connection ""; }} }}
"""
        for kind in ("small", "big")
    )
    (directory / "nginx.conf").write_text(f"""
daemon off; worker_processes 1; pid {directory}/nginx.pid; error_log stderr crit;
events {{ worker_connections 2048; }}
http {{ sendfile on; {servers}
  server {{ listen 127.0.0.1:{TLS} ssl; {server}
    ssl_certificate {directory}/upstream.pem; ssl_certificate_key {directory}/upstream.key; }}
}}
""")
    with _running(["nginx", "-c", f"{directory}/nginx.conf", "-p", str(directory)]):
        wait_for(directory / "nginx-big.sock")
        yield


def _make_certificates(directory: Path) -> None:
    """Make the upstream's certificate, for all its names, and the authority that signed it."""
    now, key = datetime.now(UTC), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bench")])
    names = [x509.DNSName(name) for name in (HOST, KEYED_HOST, "*.new.example.test")]

    def build(subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder(issuer, subject, key.public_key())
        return (
            builder.serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
        )

    authority = build(issuer, key).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    leaf_key = ec.generate_private_key(ec.SECP256R1())
    leaf = build(x509.Name([]), leaf_key).add_extension(
        x509.SubjectAlternativeName(names), critical=True
    )
    pem = serialization.Encoding.PEM
    (directory / "ca.pem").write_bytes(authority.sign(key, hashes.SHA256()).public_bytes(pem))
    (directory / "upstream.pem").write_bytes(leaf.sign(key, hashes.SHA256()).public_bytes(pem))
    (directory / "upstream.key").write_bytes(
        leaf_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


@contextmanager
def _proxy(directory: Path) -> Iterator[int]:
    (directory / "sockets").mkdir()
    (directory / "state").mkdir(mode=0o700)
    file = directory / "proxy.toml"
    file.write_text(_proxy_file(directory))
    for private in (file, directory / "ca.pem"):
        private.chmod(0o600)
    command = [sys.executable, "-m", "hakoiri.credential_proxy"]
    for option in ("sockets-dir=sockets", "control=control.sock", "file=proxy.toml",
                   "state-dir=state"):  # fmt: skip
        name, _, path = option.partition("=")
        command += [f"--{name}", f"{directory}/{path}"]
    secrets = {
        "BENCH_ID": "AKIDEXAMPLE",
        "BENCH_SECRET": "not-a-secret-but-as-long-as-one-would-be",
        "BENCH_KEY": "sk-bench-" + base64.urlsafe_b64encode(sha512(b"bench").digest()).decode(),
    }
    with (
        (directory / "decisions.log").open("wb") as log,
        _running(command, stdout=log, env={**os.environ, **secrets}) as pid,
    ):
        wait_for(directory / "control.sock")
        yield pid


def _proxy_file(directory: Path) -> str:
    hosts = [HOST, KEYED_HOST, *(NEW_HOST.format(index) for index in range(NEW_HOSTS))]
    ports = ", ".join(f'"127.0.0.1:{port}"' for port in (*MODELS.values(), TLS))
    keyed = 'kind = "bearer"\nvalue_env = "BENCH_KEY"'
    models = "".join(
        f"""
[credentials.{kind}]
kind = "header"
header = "x-api-key"
value_env = "BENCH_KEY"
hosts = ["api.anthropic.com"]
endpoint = "http://127.0.0.1:{port}"
"""
        for kind, port in MODELS.items()
    )
    return f"""{models}
[credentials.signed]
kind = "aws"
source = "static"
access_key_id_env = "BENCH_ID"
secret_access_key_env = "BENCH_SECRET"
services = ["bedrock"]
regions = ["us-east-1"]
endpoint = "http://127.0.0.1:{SMALL}"
[credentials.keyed]
{keyed}
hosts = ["{KEYED_HOST}"]
ports = [{TLS}]
[network]
ca_file = "{directory}/ca.pem"
allow_addresses = [{ports}]
[network.hosts]
""" + "".join(f'"{host}" = "127.0.0.1"\n' for host in hosts)


async def _bind(directory: Path) -> dict[str, list[str]]:
    rules = [
        {"host": HOST, "ports": [SMALL]},
        {"host": KEYED_HOST, "ports": [TLS], "credential": "keyed"},
        {"host": "*.new.example.test", "ports": [TLS], "intercept": True},
    ]
    models = {kind: {"provider": "anthropic", "credential": kind} for kind in MODELS}
    models["signed"] = {"provider": "bedrock", "credential": "signed"}
    kinds = [kind for kind in models for _ in range(PER_KIND)]
    kinds += ["small"] * (IDLE_SOCKETS - len(kinds))
    sockets: dict[str, list[str]] = {}
    connector = aiohttp.UnixConnector(str(directory / "control.sock"))
    async with aiohttp.ClientSession("http://control", connector=connector) as session:
        for index, kind in enumerate(kinds):
            path = f"/sockets/c{index}"
            policy = {"rules": rules, "model": models[kind]}
            bind = {"workspace": f"w{index}", "tenant": "t", "generation": 1, "policy": policy}
            body = Bind.model_validate(bind).model_dump_json()
            for method, at, data in (("PUT", path, None), ("PUT", f"{path}/binding", body)):
                async with session.request(method, at, data=data) as answer:
                    answer.raise_for_status()
            if len(sockets.setdefault(kind, [])) < PER_KIND:
                sockets[kind].append(f"{directory}/sockets/c{index}/proxy.sock")
    return sockets
