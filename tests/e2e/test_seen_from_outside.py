"""What is seen of a whole run from outside: figures, a workspace's use, the audit log, its copy."""

import json
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.e2e.running import Hakoiri, hakoiri
from tests.e2e.scripts import RUN
from tests.e2e.test_processes import as_taken_over, status
from tests.engine import TestEngine
from tests.waiting import until

pytestmark = [pytest.mark.engine, pytest.mark.root]


@dataclass(frozen=True, slots=True)
class Run:
    """A server with a turn and a refused request behind it, whose log is copied."""

    server: Hakoiri
    conversation: str
    share: Path
    ship_file: Path

    @property
    def log(self) -> Path:
        (instance,) = (self.server.root / "audit").iterdir()
        return instance

    def figures(self) -> dict[str, float]:
        page = self.server.api.download("/metrics").decode()
        families = text_string_to_metric_families(page)
        return {
            sample.name + "".join(f"|{value}" for _, value in sorted(sample.labels.items())): (
                sample.value
            )
            for family in families
            for sample in family.samples
        }


@pytest.fixture(scope="module")
def run(engine: TestEngine, image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    root = tmp_path_factory.mktemp("seen")
    share = root / "share"
    share.mkdir()
    account = pwd.getpwnam("hakoiri-shipper")
    os.chown(share, account.pw_uid, account.pw_gid)
    ship_file = root / "own" / "ship.toml"
    ship_file.parent.mkdir()
    ship_file.write_text(f'[[target]]\nname = "share"\nkind = "file"\ndirectory = "{share}"\n')
    ship_file.chmod(0o600)
    with hakoiri(
        root,
        docker_host=engine.docker_host,
        script=RUN,
        settings={"HAKOIRI_CONTAINER__IMAGE": image, "HAKOIRI_AUDIT__SHIP_FILE": str(ship_file)},
    ) as server:
        conversation = server.conversation()
        server.turn(conversation, "run: curl -s http://evil.example.test/; echo made > file")
        yield Run(server, conversation, share, ship_file)


def test_a_run_leaves_its_figures(run: Run) -> None:
    figures = until(lambda: _with(run, "hakoiri_containers_memory_bytes"))
    assert figures["hakoiri_turn_ends_total|none"] == 1
    assert figures["hakoiri_turn_seconds_count|result"] == 1
    assert figures["hakoiri_turn_first_event_seconds_count"] == 1
    started = [figures[f"hakoiri_container_starts_total|{kind}|ok"] for kind in ("cold", "warm")]
    assert sum(started) >= 1
    assert figures["hakoiri_file_syncs_total|save|ok"] >= 1
    assert figures["hakoiri_containers|idle"] + figures["hakoiri_containers|paused"] == 1
    assert figures["hakoiri_recovery_point_age_seconds"] == 0
    for part in ("engine", "proxy", "database", "objects", "audit"):
        assert figures[f"hakoiri_part_up|{part}"] == 1
    assert figures["hakoiri_containers_pids"] >= 1
    assert figures["hakoiri_container_disk_bytes|1"] > 0


def _with(run: Run, name: str) -> dict[str, float] | None:
    figures = run.figures()
    return figures if figures[name] > 0 else None


def test_one_workspaces_use_is_told_and_is_the_engines_own(run: Run) -> None:
    usage = run.server.api.call("GET", f"/v1/conversations/{run.conversation}/workspace/usage")
    assert usage["state"] == "live"
    assert usage["cpu_seconds"] > 0
    assert 1024**2 < usage["memory_bytes"] < usage["memory_limit_bytes"]
    assert 1 <= usage["pids"] < usage["pids_limit"]
    assert 0 < usage["workspace"]["used_bytes"] < usage["workspace"]["quota_bytes"]
    limits = run.server.inspect(run.server.containers()[0])["HostConfig"]
    assert usage["memory_limit_bytes"] == limits["Memory"]
    assert usage["pids_limit"] == limits["PidsLimit"]


def test_the_audit_log_is_looked_at_over_http_with_all_chains_in_it(run: Run) -> None:
    ask = run.server.audited
    (began,) = ask(f"event=turn_started&conversation={run.conversation}")
    told = began["unmapped"]
    assert began["metadata"]["tenant_uid"] == "default"
    assert told["workspace"]
    of_container = ask(f"container={told['container']}")
    chains = {one["metadata"]["log_name"] for one in of_container}
    assert {"server", "proxy", "guard"} <= chains
    times = [one["time"] for one in of_container]
    assert times == sorted(times, reverse=True)
    where = f"workspace={told['workspace']}&text=evil.example.test&failed=true"
    blocked = ask(f"event=proxy_request_blocked&{where}")
    assert {one["dst_endpoint"]["hostname"] for one in blocked} == {"evil.example.test"}
    assert ask(f"event=files_synced&workspace={told['workspace']}")


def test_each_process_that_shows_or_ships_has_no_rights(run: Run) -> None:
    for module, user in (
        ("hakoiri.audit.reader", "hakoiri-reader"),
        ("hakoiri.audit.shipping", "hakoiri-shipper"),
    ):
        (pid,) = run.server.processes(module)
        found = status(pid)
        assert found["Uid"] == [str(pwd.getpwnam(user).pw_uid)] * 4
        assert "0" not in found["Groups"]
        for name in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb"):
            assert int(found[name][0], 16) == 0
        key = run.log / "keeper" / "key.pem"
        assert as_taken_over(pid, "cat", str(key)).returncode != 0
        assert as_taken_over(pid, "touch", str(run.log / "server" / "x")).returncode != 0


def test_the_log_is_copied_line_for_line_and_that_is_told(run: Run) -> None:
    (instance,) = until(lambda: list(run.share.iterdir()))

    def is_copied() -> bool:
        files = [path for path in run.log.glob("*/*.jsonl") if path.parent.name != "keeper"]
        copied = [instance / path.parent.name / path.name for path in files if path.stat().st_size]
        originals = [path for path in files if path.stat().st_size]
        return all(
            copy.exists() and copy.read_bytes() == path.read_bytes()
            for copy, path in zip(copied, originals, strict=True)
        )

    until(is_copied)
    until(lambda: '"chain":"server"' in _heads_of(instance))
    cli = [sys.executable, "-P", "-m", "hakoiri.cli", "audit"]
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    verified = subprocess.run(
        [
            *(*cli, "verify", "--dir", str(instance), "--behind", "5m", "--json"),
            *("--key", str(run.log / "keeper" / "public.pem")),
        ],
        env=environment,
        check=True,
        capture_output=True,
        timeout=60,
    )
    chains = {one["chain"]: one["signed"] for one in json.loads(verified.stdout)["chains"]}
    assert {"server", "proxy", "guard"} <= set(chains)
    assert chains["server"] > 0
    told = run.server.run_dir / "ship" / "status.json"
    shown = subprocess.run(
        [*cli, "ship", "status", "--file", str(told), "--json"],
        env=environment,
        check=True,
        capture_output=True,
        timeout=60,
    )
    (target,) = json.loads(shown.stdout)["targets"]
    assert (target["name"], target["error"]) == ("share", None)
    until(lambda: run.figures()["hakoiri_audit_ship_bytes_total|share"] > 0)


def _heads_of(instance: Path) -> str:
    return "".join(path.read_text() for path in (instance / "heads").glob("*.jsonl"))


def test_the_server_can_change_neither_the_copy_nor_where_it_goes(run: Run) -> None:
    (pid,) = run.server.processes("hakoiri.host")
    places = run.log / "shipper"
    assert (places / "share.json").exists()
    for path in (places, run.ship_file.parent, run.share, run.server.run_dir / "ship"):
        assert as_taken_over(pid, "touch", str(path / "x")).returncode != 0
        assert not (path / "x").exists()
    for path in (places / "share.json", run.ship_file):
        assert as_taken_over(pid, "cat", str(path)).returncode != 0
