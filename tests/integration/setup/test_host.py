import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import give_up

from hakoiri.cli.doctor.engine_facts import parse_info
from hakoiri.docker_guard.runsc_flags import why_not_sealed

SETUP = Path(__file__).parents[3] / "deployment" / "setup"

CHANGING_COMMANDS = ("apt-get", "useradd", "groupadd", "dockerd", "systemctl")

# A fresh machine's view on this one: no engine socket, no pidfile, no engine's data, no systemd.
FRESH_MACHINE = """
set -eu
mount --make-rprivate /
mount -t tmpfs -o mode=0755 tmpfs /run
for directory in /etc/docker /var/lib/docker /var/lib/hakoiri-engine; do
  mkdir -p "$directory"
  mount -t tmpfs -o size=8g tmpfs "$directory"
done
"""


@pytest.fixture
def root() -> None:
    if os.geteuid() != 0:
        give_up("only root can set up a host; run `make test` as root")


@pytest.fixture
def bystanders_copy() -> Iterator[Path]:
    """The scripts where any user can read them, wherever the checkout is."""
    directory = Path(tempfile.mkdtemp(prefix="hakoiri-setup-"))
    directory.chmod(0o755)
    shutil.copytree(SETUP, directory / "setup")
    yield directory / "setup" / "host.sh"
    shutil.rmtree(directory)


def environment(*, stubs: Path | None = None, **variables: str) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in {"DOCKER_HOST", "HAKOIRI_DOCKER_HOST", "PYTHON"}
    }
    path = kept.get("PATH", os.defpath)
    return {**kept, "PATH": f"{stubs}:{path}" if stubs else path, **variables}


def run(*command: str | Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=env, cwd="/", capture_output=True, text=True, check=False, timeout=200
    )


def run_on_fresh_machine(script: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run in namespaces of its own; all its processes and mounts end with it."""
    namespaces = ("--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
    return run("unshare", *namespaces, "bash", "-c", FRESH_MACHINE + script, env=env)


def stub(directory: Path, name: str, script: str) -> None:
    command = directory / name
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    """The one sentence of a run that could not go on."""
    lines = done.stderr.splitlines()
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert len(lines) == 1, lines
    return lines[0]


def test_without_root_it_ends_in_one_sentence_with_the_mend(
    root: None, bystanders_copy: Path
) -> None:
    nobody = pwd.getpwnam("nobody")
    as_nobody = ("setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}")
    for purpose in ("demo", "test", "guest", "aarch64"):
        done = run(
            *as_nobody, "--clear-groups", bystanders_copy, "--for", purpose, env=environment()
        )
        assert "needs root; run it again with sudo" in refusal(done)
        assert done.stdout == ""


def test_what_make_check_needs_needs_no_root(root: None, bystanders_copy: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    as_nobody = ("setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}")
    done = run(*as_nobody, "--clear-groups", bystanders_copy, "--for", "check", env=environment())
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    "arguments", [["--for"], ["--for", "all"], ["demo"], ["--for", "demo", "x"]]
)
def test_wrong_use_is_refused(arguments: list[str]) -> None:
    assert "usage" in refusal(run(SETUP / "host.sh", *arguments, env=environment()))


def test_another_system_is_refused(tmp_path: Path) -> None:
    stub(tmp_path, "uname", "echo Darwin")
    done = run(SETUP / "host.sh", env=environment(stubs=tmp_path))
    assert "runs on Linux only" in refusal(done)


def test_a_full_disk_is_refused_with_what_is_needed(root: None, tmp_path: Path) -> None:
    stub(tmp_path, "df", "echo header; echo /dev/vda 9 9 5242880 9% /")
    done = run(SETUP / "host.sh", env=environment(stubs=tmp_path))
    assert "5120 MiB free and 6 GiB are needed; free some space" in refusal(done)


def test_without_docker_and_without_apt_the_missing_packages_are_named(
    root: None, tmp_path: Path
) -> None:
    for name in ("bash", "dirname", "uname", "df", "awk", "sort", "tr", "timeout", "getent"):
        (tmp_path / name).symlink_to(shutil.which(name) or name)
    done = run(SETUP / "host.sh", env=environment(PATH=str(tmp_path)))
    sentence = refusal(done)
    assert "docker.io" in sentence
    assert "no apt-get" in sentence


def test_packages_that_cannot_be_had_show_the_last_words_and_one_sentence(
    root: None, tmp_path: Path
) -> None:
    for name in ("bash", "dirname", "uname", "df", "awk", "sort", "tr", "timeout", "sed", "tail"):
        (tmp_path / name).symlink_to(shutil.which(name) or name)
    for name in ("mktemp", "rm", "sleep", "cut", "getent"):
        (tmp_path / name).symlink_to(shutil.which(name) or name)
    stub(tmp_path, "apt-get", "echo could not resolve the mirror; exit 100")
    done = run(SETUP / "host.sh", env=environment(PATH=str(tmp_path)))
    assert "reading the package lists failed (exit 100); check the network" in refusal(done)
    assert "  | could not resolve the mirror" in done.stdout


@pytest.mark.engine
def test_an_engine_chosen_by_the_caller_that_is_away_is_named(root: None) -> None:
    chosen = "unix:///nowhere/docker.sock"
    done = run(SETUP / "host.sh", env=environment(DOCKER_HOST=chosen))
    assert f"no engine answers on DOCKER_HOST={chosen}" in refusal(done)


@pytest.mark.engine
def test_a_second_run_changes_nothing_and_needs_no_packages(root: None, tmp_path: Path) -> None:
    first = run(SETUP / "host.sh", "--for", "test", env=environment())
    assert first.returncode == 0, (first.stdout, first.stderr)
    for name in CHANGING_COMMANDS:
        stub(tmp_path, name, f"echo {name} >> {tmp_path}/called; exit 1")
    users = Path("/etc/passwd").read_bytes()

    second = run(SETUP / "host.sh", "--for", "test", env=environment(stubs=tmp_path))

    assert second.returncode == 0, (second.stdout, second.stderr)
    assert not (tmp_path / "called").exists()
    assert Path("/etc/passwd").read_bytes() == users
    assert len(second.stdout.splitlines()) == 1
    assert {"hakoiri", "hakoiri-proxy", "hakoiri-guard"} <= {
        entry.pw_name for entry in pwd.getpwall()
    }
    assert pwd.getpwnam("hakoiri-proxy").pw_shell.endswith("nologin")


@pytest.mark.engine
def test_where_no_engine_answers_one_is_started_past_a_stale_pidfile(root: None) -> None:
    script = f"""
    echo 1 >/run/docker.pid
    mkdir -p /run/docker/containerd && echo 1 >/run/docker/containerd/containerd.pid
    {SETUP}/host.sh >&2
    first=$(cat /run/docker.pid)
    {SETUP}/host.sh >&2
    [ "$first" = "$(cat /run/docker.pid)" ]
    [ "$(readlink /proc/$first/fd/1)" = /var/lib/hakoiri-engine/dockerd.log ]
    docker -H unix:///var/run/docker.sock info --format '{{{{json .}}}}'
    """
    done = run_on_fresh_machine(script, environment())
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert done.stderr.count("starting a Docker engine") == 1
    assert why_not_sealed(parse_info(done.stdout).runtimes["runsc"]) is None


@pytest.mark.engine
def test_an_operators_own_daemon_file_is_left_in_force(root: None) -> None:
    script = f"""
    echo '{{"bridge": "none", "iptables": false, "ip-forward": false, "labels": ["of=theirs"]}}' \
      >/etc/docker/daemon.json
    {SETUP}/host.sh >&2
    docker -H unix:///var/run/docker.sock info --format '{{{{.Labels}}}}'
    """
    done = run_on_fresh_machine(script, environment())
    assert done.stdout.strip() == "[of=theirs]", (done.stdout, done.stderr)


@pytest.mark.engine
def test_an_engine_that_dies_shows_its_last_words_and_one_sentence(
    root: None, tmp_path: Path
) -> None:
    stub(tmp_path, "dockerd", "echo failed to mount cgroup; exit 1")
    done = run_on_fresh_machine(f"{SETUP}/host.sh", environment(stubs=tmp_path))
    assert "read /var/lib/hakoiri-engine/dockerd.log" in refusal(done)
    assert "  | failed to mount cgroup" in done.stdout


@pytest.mark.engine
def test_an_engine_that_runs_but_does_not_answer_is_never_ended(root: None, tmp_path: Path) -> None:
    shutil.copy2(shutil.which("sleep") or "sleep", tmp_path / "dockerd")
    script = f"""
    {tmp_path}/dockerd 1000 &
    echo $! >/run/docker.pid
    sed -i 's/^readonly ENGINE_WAIT_S=.*/readonly ENGINE_WAIT_S=1/' "$COPY/engine.sh"
    "$COPY/host.sh" && status=0 || status=$?
    [ "$(cat /proc/$(cat /run/docker.pid)/comm)" = dockerd ]
    exit $status
    """
    shutil.copytree(SETUP, tmp_path / "setup")
    done = run_on_fresh_machine(script, environment(COPY=str(tmp_path / "setup")))
    assert "runs but does not answer" in refusal(done)
