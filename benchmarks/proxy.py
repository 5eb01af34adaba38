"""The credential proxy beside its peers: nginx, a bare proxy on aiohttp, mitmdump, a bare relay.

Rounds are interleaved, in an order that rotates, so that what else the machine does hits all alike;
ratios count, not absolute numbers. What runs is in `proxy_site`.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
import timeit
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from benchmarks.proxy_bars import (
    Line,
    Numbers,
    latency_line,
    limit_line,
    rate_line,
)
from benchmarks.proxy_site import (
    HOST,
    IDLE_SOCKETS,
    KEYED_HOST,
    MITM_CONNECT,
    MODELS,
    NEW_HOST,
    SMALL,
    TLS,
    TUNNEL_BYTES,
    Site,
    forget_peak,
    memory_mb,
    running_site,
)
from hakoiri.credential_proxy.credentials.secret import Secret
from hakoiri.credential_proxy.credentials.sigv4 import AwsKeys, SignableRequest, Signer
from hakoiri.credential_proxy.signing_scope import SigningScope

MODEL: Final = "/v1/models"
INVOKE: Final = "/model/bench/invoke"
NEW_HOSTS_A_ROUND: Final = 20
MITMDUMP_SHARE: Final = 8
"""Slow as it is, mitmdump is asked this many times less often."""

FLAT_MB: Final = 4
SIGNED_BYTES: Final = 50 * 1024
HELD_BYTES: Final = 20 * 1024 * 1024
HELD_CLIENTS: Final = 4

Measured = dict[str, list[Numbers]]
To = TypeVar("To")


def measure(rounds: int, *, say: Callable[[str], None]) -> list[Line]:
    """Measure every row; raises RuntimeError when a process does not start."""
    rows = (_idle, _held, _small_alone, _small_many, _big_alone, _big_many, _signing, _signed,
            _sse, _intercepted, _new_host, _tunnel)  # fmt: skip
    with (
        tempfile.TemporaryDirectory(prefix="hakoiri-bench-") as name,
        running_site(Path(name)) as site,
    ):
        lines = []
        for row in rows:
            say(row.__name__.strip("_").replace("_", " "))
            lines += row(site, rounds)
        return lines


def _idle(site: Site, rounds: int) -> list[Line]:
    del rounds
    used = memory_mb(site.proxy_pid)
    return [limit_line(f"{IDLE_SOCKETS} bound sockets, idle", used, limit=120, unit="MB")]


def _small_alone(site: Site, rounds: int) -> list[Line]:
    found = _requests(site, rounds, "small", clients=1, requests=1600)
    return [latency_line("1 KiB, c=1, added", found, p50_ms=0.6, p99_ms=2)]


def _small_many(site: Site, rounds: int) -> list[Line]:
    found = _requests(site, rounds, "small", clients=32, requests=6400)
    bars = (("aiohttp", 1.0, ""), ("mitmdump", 6.0, site.mitmdump), ("nginx", 0.5, ""))
    return [
        rate_line(f"1 KiB, c=32{', aim' if peer == 'nginx' else ''}", found, peer=peer,
                  least=least, missing=missing)
        for peer, least, missing in bars
    ]  # fmt: skip


def _big_alone(site: Site, rounds: int) -> list[Line]:
    found = _requests(site, rounds, "big", clients=1, requests=240)
    return [rate_line("1 MiB, c=1", found, peer="aiohttp", least=0.9)]


def _big_many(site: Site, rounds: int) -> list[Line]:
    """Flat: what the first round needed is enough for all that follow."""
    idle_mb = memory_mb(site.proxy_pid)
    peaks_mb: list[float] = []

    def look(who: str) -> None:
        if who == "ours":
            peaks_mb.append(memory_mb(site.proxy_pid, peak=True))
            forget_peak(site.proxy_pid)

    forget_peak(site.proxy_pid)
    found = _requests(site, rounds, "big", clients=32, requests=640, after=look)
    grown_mb = max(peaks_mb) - peaks_mb[0]
    note = f"peak {max(peaks_mb) - idle_mb:+.1f} MB over idle, for 32 at once"
    flat = limit_line(
        "1 MiB, c=32, peak grown after round 1", grown_mb, limit=FLAT_MB, unit="MB", note=note
    )
    return [rate_line("1 MiB, c=32", found, peer="aiohttp", least=0.9), flat]


def _signing(site: Site, rounds: int) -> list[Line]:
    """Time the signing alone, body's hash and all, in this process; the key is cached."""
    del site
    body = b"x" * SIGNED_BYTES
    signer, scope = Signer(), SigningScope("us-east-1", "bedrock")
    keys = AwsKeys("AKIDEXAMPLE", Secret("not-a-secret-but-as-long-as-one-would-be", name="bench"))
    url = f"https://bedrock.example.test{INVOKE}"
    host = ("host", "bedrock.example.test")

    def ours() -> None:
        digest = hashlib.sha256(body).hexdigest()
        request = SignableRequest("POST", INVOKE, "", (host, ("content-type", "a/b")), digest)
        signer.sign(request, keys=keys, scope=scope, now=datetime.now(UTC))

    credentials = Credentials(keys.access_key_id, keys.secret_access_key.reveal())
    theirs = SigV4Auth(credentials, scope.service, scope.region)

    def botocore() -> None:
        headers = {"content-type": "a/b"}
        theirs.add_auth(AWSRequest("POST", url, headers=headers, data=body))

    repeats = max(rounds, 5) * 4
    best = {
        name: min(timeit.repeat(work, number=50, repeat=repeats)) / 50 * 1e6
        for name, work in (("ours", ours), ("botocore", botocore),
                           ("hash", lambda: hashlib.sha256(body).hexdigest()))
    }  # fmt: skip
    note = f"botocore {best['botocore']:.0f} us; SHA-256 alone {best['hash']:.0f} us"
    return [limit_line("SigV4, 50 KiB, signing", best["ours"], limit=50, unit="us", note=note)]


def _signed(site: Site, rounds: int) -> list[Line]:
    who = {"direct": [str(SMALL)], "ours": site.sockets["signed"][:1]}
    asked = {"method": "POST", "target": INVOKE, "body": SIGNED_BYTES, "requests": 500}
    found = _interleaved(rounds, who, lambda _, to: _load(to, **asked))
    return [latency_line("SigV4, 50 KiB, added", found, p50_ms=1)]


def _held(site: Site, rounds: int) -> list[Line]:
    asked = {"method": "POST", "target": INVOKE, "body": HELD_BYTES, "clients": HELD_CLIENTS}
    idle_mb = memory_mb(site.proxy_pid)
    forget_peak(site.proxy_pid)
    for _ in range(rounds):
        _load(site.sockets["signed"][:1], requests=HELD_CLIENTS * 2, **asked)
    grown_mb = (memory_mb(site.proxy_pid, peak=True) - idle_mb) / HELD_CLIENTS
    work = f"SigV4, 20 MiB, peak memory a request, {HELD_CLIENTS} at once"
    return [limit_line(work, grown_mb, limit=4, unit="MB")]


def _sse(site: Site, rounds: int) -> list[Line]:
    lines = []
    for clients, every_ms, limit_ms in ((8, 20, 3.0), (200, 50, 20.0)):
        kind = f"events{every_ms}"
        who = {"direct": [str(MODELS[kind])], "ours": site.sockets[kind]}
        found = _interleaved(rounds, who, partial(_streams, clients=clients))
        work = f"SSE, {clients} at {every_ms} ms, added"
        lines.append(latency_line(work, found, p99_ms=limit_ms))
    return lines


def _streams(_: str, to: list[str], *, clients: int) -> Numbers:
    return _load(to, clients=clients, target=MODEL, events=True)


def _intercepted(site: Site, rounds: int) -> list[Line]:
    asked: dict[str, Any] = {
        "mode": "warm",
        "host": KEYED_HOST,
        "path": "/small",
        "requests": 400,
        "port": TLS,
    }
    found = _interleaved(rounds, _connectors(site), lambda who, to: _connect(who, to, **asked))
    return [latency_line("intercepted HTTPS, warm, added", found, p50_ms=3)]


def _new_host(site: Site, rounds: int) -> list[Line]:
    first = iter(range(0, NEW_HOSTS_A_ROUND * rounds * 2, NEW_HOSTS_A_ROUND))
    starts: dict[str, Any] = {}

    def ask(who: str, to: str) -> Numbers:
        starts[who] = next(first) if who == "ours" else starts.get(who, 0)
        return _connect(who, to, mode="new", host=NEW_HOST, path="/small", port=TLS,
                        requests=NEW_HOSTS_A_ROUND, first=starts[who])  # fmt: skip

    found = _interleaved(rounds, _connectors(site), ask)
    return [latency_line("intercepted HTTPS, new host, added", found, p50_ms=15)]


def _tunnel(site: Site, rounds: int) -> list[Line]:
    who = {
        "direct": str(SMALL),
        "ours": site.sockets["small"][0],
        "bare relay": str(site.directory / "relay.sock"),
    }
    asked: dict[str, Any] = {"mode": "tunnel", "host": HOST, "path": "/tunnel", "port": SMALL,
             "bytes": TUNNEL_BYTES}  # fmt: skip
    found = _interleaved(rounds, who, lambda who, to: _connect(who, to, **asked))
    line = rate_line("CONNECT tunnel, 1 GiB", found, peer="bare relay", least=0.8, shape=_mb_per_s)
    return [line]


def _mb_per_s(bytes_per_s: float) -> str:
    return f"{bytes_per_s / 1e6:,.0f} MB/s"


def _connectors(site: Site) -> dict[str, str]:
    found = {"direct": str(TLS), "ours": site.sockets["small"][0]}
    return found if site.mitmdump else {**found, "mitmdump": str(MITM_CONNECT)}


def _requests(
    site: Site,
    rounds: int,
    kind: str,
    *,
    requests: int,
    clients: int,
    after: Callable[[str], None] = lambda _: None,
) -> Measured:
    def ask(who: str, to: list[str]) -> Numbers:
        share = MITMDUMP_SHARE if who == "mitmdump" else 1
        numbers = _load(to, target=MODEL, clients=clients, requests=requests // share)
        after(who)
        return numbers

    return _interleaved(rounds, site.peers(kind), ask)


def _interleaved(rounds: int, who: Mapping[str, To], ask: Callable[[str, To], Numbers]) -> Measured:
    found: Measured = {name: [] for name in who}
    names = list(who)
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            found[name].append(ask(name, who[name]))
    return found


def _load(to: list[str], **asked: Any) -> Numbers:
    return _run("benchmarks.proxy_loader", ["--host", "model.example.test", "--to", *to], asked)


def _connect(who: str, to: str, *, mode: str, **asked: Any) -> Numbers:
    """Ask through CONNECT; a peer that resolves names gets the address in it."""
    arguments = [mode, "--to", to]
    if who != "direct":
        arguments.append("--through")
    if who not in ("direct", "ours"):
        arguments += ["--address", "127.0.0.1"]
    return _run("benchmarks.connect_loader", arguments, asked)


def _run(module: str, arguments: list[str], asked: Mapping[str, Any]) -> Numbers:
    for name, value in asked.items():
        arguments += [f"--{name}"] if value is True else [f"--{name}", str(value)]
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr[-2000:]}")
    numbers: Numbers = json.loads(done.stdout)
    return numbers
