"""A backup made while a turn runs, everything destroyed, and all of it put back."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.running import Hakoiri, data_of, prepare
from tests.e2e.scripts import RUN
from tests.e2e.test_adoption import WaitingTurn
from tests.e2e.test_failures import is_gapless
from tests.e2e.test_recovery import said_to_the_model
from tests.engine import TestEngine, mounts_below
from tests.waiting import until

pytestmark = [pytest.mark.engine, pytest.mark.root]

LEFT_OVER = ("data", "live", "audit", "proxy-state", "proxy")


def hakoiri(server: Hakoiri, *words: str, exit_code: int = 0) -> str:
    """Run the command line with the server's settings; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "hakoiri.cli", *words],
        env={"PATH": os.environ["PATH"]} | server.server._environment,
        cwd="/",
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == exit_code, done.stderr
    return done.stdout


def verified(server: Hakoiri) -> dict[str, dict[str, Any]]:
    """What `audit verify` says of each chain, all of them sound."""
    told = json.loads(hakoiri(server, "audit", "verify", "--json"))
    return {chain["chain"]: chain for chain in told["chains"]}


def destroy(server: Hakoiri) -> None:
    """What is left of a host whose disk is gone."""
    server.kill_all()
    for container in server.containers():
        server.docker("rm", "--force", container)
    for point in mounts_below(server.root):
        subprocess.run(["umount", "--lazy", str(point)], check=True)
    shutil.rmtree(server.run_dir)
    for name in LEFT_OVER:
        shutil.rmtree(server.root / name)


def test_all_is_as_at_the_backup(engine: TestEngine, image: str, tmp_path: Path) -> None:
    server = prepare(
        tmp_path,
        docker_host=engine.docker_host,
        script=RUN,
        settings={"HAKOIRI_CONTAINER__IMAGE": image},
    )
    secrets = server.root / "proxy/proxy.env"
    secrets.touch(mode=0o600)
    secrets.write_text("SOME_API_KEY=kept\n")
    backup = tmp_path / "backup"
    with server.server:
        quiet = server.conversation()
        server.turn(quiet, "run: echo first > kept; mkdir inner; echo second > inner/kept")
        server.api.call("PUT", "/v1/policies/web", {"rules": []})
        events = server.log(quiet)
        turn = WaitingTurn(server)
        hakoiri(server, "backup", "create", str(backup))
        server.turn(quiet, "run: echo later > kept")
        destroy(server)
        turn.talk.end()
    authority = next(backup.glob("proxy/**/*.pem")).read_bytes()

    hakoiri(server, "backup", "check", str(backup))
    assert "put back" in hakoiri(server, "backup", "restore", "--settings", str(backup))
    hakoiri(server, "backup", "restore", str(backup))
    for chain in verified(server).values():
        assert chain["broken"] is None
        assert chain["lines"] >= chain["signed"]
    hakoiri(server, "backup", "restore", str(backup), exit_code=1)

    with server.server:
        assert secrets.read_text() == "SOME_API_KEY=kept\n"
        assert server.log(quiet) == events
        assert server.api.call("GET", "/v1/policies/web")["rules"] == []
        path = f"/v1/conversations/{turn.conversation}"
        # the turn of then is taken up in a container without the file that it waits for
        until(lambda: "container_recovered" in [event["type"] for event in turn.log()])
        until(turn.is_waiting)
        turn.let_go()
        until(lambda: not server.api.call("GET", path)["running"])
        assert turn.log()[-1]["type"] == "result", turn.log()[-1]
        assert set(said_to_the_model(server, turn.text)) <= {1}
        assert is_gapless(server, turn.conversation)
        after = server.turn(quiet, "run: cat kept inner/kept")
        assert data_of(after, "tool_result")[0]["text"].split() == ["first", "second"]
        assert next(server.proxy_state_dir.rglob("*.pem")).read_bytes() == authority
        after_the_start = verified(server)
    assert all(chain["broken"] is None for chain in after_the_start.values())
