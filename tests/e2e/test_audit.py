"""The audit log of a whole run: what is in it, who can touch it, and what is found when it lies."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.running import Hakoiri, hakoiri
from tests.e2e.scripts import RUN
from tests.e2e.test_processes import as_taken_over
from tests.engine import TestEngine
from tests.waiting import until

pytestmark = [pytest.mark.engine, pytest.mark.root]

SAID = "planted-words-of-a-user"


@dataclass(frozen=True, slots=True)
class Run:
    """A server with a turn, a refused request and a changed policy behind it."""

    server: Hakoiri
    conversation: str

    @property
    def log(self) -> Path:
        (instance,) = (self.server.root / "audit").iterdir()
        return instance

    def audit(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return audit(self.log, *arguments)

    def told(self, *arguments: str) -> list[dict[str, Any]]:
        """Wait for what is searched for: each process writes in its own time."""
        return until(lambda: self.found(*arguments), " ".join(arguments))

    def found(self, *arguments: str) -> list[dict[str, Any]]:
        done = self.audit("search", "--json", *arguments)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]


def audit(log: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "hakoiri.cli", "audit", *arguments, "--dir", str(log)],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        cwd="/",
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def run(engine: TestEngine, image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    root = tmp_path_factory.mktemp("audit")
    with hakoiri(
        root,
        docker_host=engine.docker_host,
        script=RUN,
        settings={"HAKOIRI_CONTAINER__IMAGE": image},
    ) as server:
        conversation = server.conversation()
        server.turn(conversation, f"run: curl -s http://evil.example.test/ # {SAID}")
        server.api.call("PUT", "/v1/policies/web", {"rules": []})
        yield Run(server, conversation)


def test_a_turn_is_told_by_each_process_in_its_own_chain(run: Run) -> None:
    (began,) = run.told("--event", "turn_started", "--conversation", run.conversation)
    container = began["unmapped"]["container"]
    (made,) = run.told("--event", "container_created", "--container", container)
    assert made["metadata"]["log_name"] == "guard"
    called = run.told("--event", "proxy_request_allowed", "--container", container)
    assert {one["unmapped"]["credential"] for one in called} == {"bedrock"}
    blocked = run.told("--event", "proxy_request_blocked", "--text", "evil.example.test")
    assert {one["unmapped"]["container"] for one in blocked} == {container}
    assert {one["dst_endpoint"]["hostname"] for one in blocked} == {"evil.example.test"}
    assert {one["action_id"] for one in blocked} == {2}
    (ended,) = run.told("--event", "turn_ended")
    assert ended["unmapped"]["ended"] == "result"
    assert run.told("--event", "files_synced")  # on a slow machine beside the turn as well
    (changed,) = run.told("--event", "policy_changed")
    assert changed["entity"] == {"type": "Policy", "uid": "web"}


def test_nothing_that_was_said_is_in_it(run: Run) -> None:
    exported = run.audit("export")
    assert exported.returncode == 0
    assert run.conversation in exported.stdout
    assert SAID not in exported.stdout


def test_it_is_as_it_was_written_and_its_heads_are_signed(run: Run) -> None:
    # a head is made at most 20 s after a line
    def signed() -> bool:
        done = run.audit("verify", "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        told = {one["chain"]: one for one in json.loads(done.stdout)["chains"]}
        return all(told[name]["signed"] > 0 for name in ("server", "proxy", "guard"))

    assert until(signed)
    page = run.server.api.download("/metrics").decode()
    ages = dict(
        re.findall(r'^hakoiri_audit_signed_age_seconds{chain="(\w+)"} (.+)$', page, re.MULTILINE)
    )
    assert set(ages) == {"server", "proxy", "guard", "operator"}
    assert all(float(age) < 60 for age in ages.values()), "the keeper tells the server"
    assert 'hakoiri_audit_chain_broken{chain="proxy"} 0.0' in page
    shown = run.audit("tail", "-n", "3")
    assert shown.returncode == 0
    assert len(shown.stdout.splitlines()) == 3


@pytest.mark.parametrize("what", ["keeper/key.pem", "heads", "proxy", "guard"])
def test_the_server_can_neither_read_the_key_nor_see_another_chain(run: Run, what: str) -> None:
    (pid,) = run.server.processes("hakoiri.host")
    path = run.log / what
    until(path.exists)
    assert as_taken_over(pid, "ls", str(path)).returncode != 0
    assert as_taken_over(pid, "touch", str(path / "x")).returncode != 0
    own = as_taken_over(pid, "ls", str(run.log / "server"))
    assert own.returncode == 0
    assert ".jsonl" in own.stdout


def test_a_proxy_that_is_killed_leaves_a_chain_that_its_successor_goes_on_with(run: Run) -> None:
    (old,) = run.server.processes("hakoiri.credential_proxy")
    before = len(run.found("--event", "audit_log_opened", "--chain", "proxy"))
    os.kill(old, signal.SIGKILL)
    until(lambda: len(run.found("--event", "audit_log_opened", "--chain", "proxy")) == before + 1)
    assert run.server.turn(run.conversation, "hello")
    assert run.audit("verify").returncode == 0


@pytest.mark.parametrize("act", ["change", "drop", "swap", "cut"])
def test_a_log_that_was_tampered_with_is_found(run: Run, tmp_path: Path, act: str) -> None:
    until(
        lambda: any(
            '"chain":"server"' in path.read_text() for path in (run.log / "heads").glob("*.jsonl")
        )
    )
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-a", str(run.log), str(copy)], check=True)
    (path,) = (copy / "server").glob("*.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    if act == "change":
        lines[1] = lines[1].replace(b"turn_started", b"turn_stopped")
    elif act == "drop":
        del lines[1]
    elif act == "swap":
        lines[1], lines[2] = lines[2], lines[1]
    else:
        lines = lines[:1]
    path.write_bytes(b"".join(lines))
    done = audit(copy, "verify", "--chain", "server")
    assert done.returncode == 1
    assert "BROKEN" in done.stdout
    assert audit(run.log, "verify", "--chain", "server").returncode == 0
