import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.cli.doctor.engine_facts import EngineUnknownError, parse_info, read_engine

INFO = {
    "ServerVersion": "20.10.24+dfsg1",
    "Driver": "overlay2",
    "CgroupVersion": "2",
    "MemoryLimit": True,
    "SwapLimit": True,
    "PidsLimit": False,
    "CpuCfsQuota": True,
    "SecurityOptions": ["name=seccomp,profile=default", "name=userns"],
    "Runtimes": {
        "runc": {"path": "runc"},
        "runsc": {"path": "/usr/bin/runsc", "runtimeArgs": ["--network=none"]},
    },
    "DockerRootDir": "/var/lib/docker",
}


def test_the_engines_own_words_become_facts() -> None:
    facts = parse_info(json.dumps(INFO))

    assert (facts.version, facts.storage_driver) == ("20.10.24+dfsg1", "overlay2")
    assert (facts.cgroup_version, facts.lacking_limits) == ("2", ("pids",))
    assert facts.runtimes == {"runc": (), "runsc": ("--network=none",)}
    assert facts.security_option("seccomp") == {"name": "seccomp", "profile": "default"}
    assert facts.security_option("userns") == {"name": "userns"}
    assert facts.security_option("apparmor") is None


@pytest.mark.parametrize("raw", ["", "{", "[]", "null", '{"ServerErrors": ["no engine"]}'])
def test_anything_else_is_no_engine(raw: str) -> None:
    with pytest.raises(EngineUnknownError):
        parse_info(raw)


@given(st.dictionaries(st.sampled_from(sorted(INFO)), st.none() | st.just([]) | st.just({})))
def test_fields_that_are_absent_or_empty_break_nothing(changed: dict[str, object]) -> None:
    raw = json.dumps(INFO | changed | {"ServerVersion": "1"})
    assert parse_info(raw).version == "1"


def _put_docker_on_the_path(monkeypatch: pytest.MonkeyPatch, directory: Path, script: str) -> None:
    command = directory / "docker"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")


def test_the_engine_is_asked_at_the_address_that_was_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "info.json").write_text(json.dumps(INFO))
    script = f'[ "$1 $2 $3" = "--host unix:///x.sock info" ] && cat {tmp_path}/info.json'
    _put_docker_on_the_path(monkeypatch, tmp_path, script)

    assert read_engine("unix:///x.sock").version == "20.10.24+dfsg1"


def test_a_command_that_fails_gives_its_last_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _put_docker_on_the_path(monkeypatch, tmp_path, "echo first >&2; echo last words >&2; exit 1")
    with pytest.raises(EngineUnknownError, match=r"^last words$"):
        read_engine("unix:///x.sock")


def test_no_command_and_no_answer_are_told_apart(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineUnknownError, match="no docker command"):
        read_engine("tcp://127.0.0.1:1")
    with pytest.raises(EngineUnknownError, match="No such file"):
        read_engine("unix:///x.sock")

    def never_answer(*arguments: object, **options: object) -> None:
        raise subprocess.TimeoutExpired("docker", 20)

    monkeypatch.setattr(subprocess, "run", never_answer)
    with pytest.raises(EngineUnknownError, match="no answer within"):
        read_engine("tcp://127.0.0.1:1")


def test_without_a_command_the_socket_is_asked_itself(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(
        "hakoiri.cli.doctor.engine_facts.read_info", lambda _, **__: json.dumps(INFO)
    )
    monkeypatch.setenv("PATH", str(tmp_path))
    assert read_engine("unix:///x.sock").version == "20.10.24+dfsg1"
