"""What cannot work is refused at the start: one sentence with the mend, nothing left behind."""

import json
import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.e2e.running import Hakoiri, data_of, descendants, hakoiri, of_process, prepare
from tests.e2e.scripts import RUN
from tests.engine import TestEngine
from tests.waiting import until

from hakoiri.cli.demo.server_process import free_port
from hakoiri.cli.supervisor.preparation import code_directories
from hakoiri.cli.supervisor.process import ProcessSpec, launch_command
from hakoiri.cli.supervisor.processes import NOBODY

pytestmark = [pytest.mark.engine, pytest.mark.root]

END_TIMEOUT_S = 120
PLANTED = {
    "AWS_ACCESS_KEY_ID": "AKIAPLANTEDPLANTED00",
    "AWS_SECRET_ACCESS_KEY": "planted-secret-key-of-the-operator",
    "AWS_SESSION_TOKEN": "planted-session-token",
    "ANTHROPIC_API_KEY": "sk-ant-planted",
    "GITHUB_TOKEN": "ghp_planted",
}


def variables(
    root: Path, docker_host: str, changed: Mapping[str, str] | None = None
) -> dict[str, str]:
    own = root / "proxy"
    own.mkdir(exist_ok=True)
    return {
        "PATH": os.environ["PATH"],
        "HAKOIRI_DATA_DIR": str(root / "data"),
        "HAKOIRI_DOCKER_HOST": docker_host,
        "HAKOIRI_GUARD__LIVE_DIR": str(root / "live"),
        "HAKOIRI_AUDIT__DIR": str(root / "audit"),
        "HAKOIRI_CONTAINER__PROBE_AT_START": "false",
        "HAKOIRI_MODEL__PROVIDER": "rehearsal",
        "HAKOIRI_PORT": str(free_port()),
        "HAKOIRI_PROXY__FILE": str(own / "proxy.toml"),
        "HAKOIRI_PROXY__ENV_FILE": str(own / "proxy.env"),
        **(changed or {}),
    }


def serve(environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a server that is expected to end by itself."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "hakoiri.cli", "serve"],
        env=dict(environment),
        cwd="/",
        capture_output=True,
        text=True,
        timeout=END_TIMEOUT_S,
        check=False,
    )


def sentences(ended: subprocess.CompletedProcess[str]) -> list[str]:
    """What the command itself says; a refusal is one line of it."""
    return [line for line in ended.stderr.splitlines() if line.startswith("hakoiri serve: ")]


def is_all_gone(root: Path) -> bool:
    """Whether no run directory of the instance is left."""
    instance = (root / "data" / "instance").read_text().strip()
    mounts = Path("/proc/self/mountinfo").read_text()
    return not (Path("/run/hakoiri") / instance).exists() and instance not in mounts


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HAKOIRI_CONTAINER__PRIVILEGED", "true"),
        ("HAKOIRI_NO_SUCH_SETTING", "1"),
        ("HAKOIRI_CONTAINER__RUNTIME", "crun"),
        ("HAKOIRI_DATA_DIR", "relative/data"),
    ],
)
def test_a_setting_that_is_unknown_or_wrong_is_named(
    engine: TestEngine, tmp_path: Path, name: str, value: str
) -> None:
    ended = serve(variables(tmp_path, engine.docker_host, {name: value}))
    assert ended.returncode == 2
    (said,) = sentences(ended)
    # the environment's name, or the setting's
    assert name in said or name.removeprefix("HAKOIRI_").replace("__", ".").lower() in said
    assert not (tmp_path / "data").exists()


def test_an_unknown_key_in_the_file_is_named(engine: TestEngine, tmp_path: Path) -> None:
    file = tmp_path / "hakoiri.toml"
    file.write_text("[container]\nnetwork = 'host'\n")
    ended = serve(variables(tmp_path, engine.docker_host, {"HAKOIRI_CONFIG": str(file)}))
    assert ended.returncode == 2
    (said,) = sentences(ended)
    assert "container.network: no such setting" in said
    assert not (tmp_path / "data").exists()


def test_with_a_key_set_an_image_that_it_did_not_sign_is_refused(
    engine: TestEngine, image: str, tmp_path: Path
) -> None:
    key = tmp_path / "image.pub"
    public = Ed25519PrivateKey.generate().public_key()
    key.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    changed = {
        "HAKOIRI_CONTAINER__IMAGE": image,
        "HAKOIRI_CONTAINER__IMAGE_PUBLIC_KEY": str(key),
        "HAKOIRI_CONTAINER__IMAGE_SIGNATURES": str(tmp_path / "signed"),
    }
    ended = serve(variables(tmp_path, engine.docker_host, changed))
    assert ended.returncode == 2
    (said,) = sentences(ended)
    assert "HAKOIRI_CONTAINER__IMAGE_PUBLIC_KEY: the image is not signed here" in said
    assert "hakoiri image sign" in said
    assert is_all_gone(tmp_path)


WITH_MOUNT = json.dumps(
    {
        "defaultAction": "SCMP_ACT_ERRNO",
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{"names": ["mount"], "action": "SCMP_ACT_ALLOW"}],
    }
)


@pytest.mark.parametrize(
    ("profile", "why"),
    [
        (None, "No such file"),
        (json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []}), "defaultAction"),
        (WITH_MOUNT, "lets through mount"),
        (WITH_MOUNT.replace("mount", "some_call_of_2027"), "lets through some_call_of_2027"),
    ],
    ids=["missing", "allows all", "wider than ours", "what ours knows nothing of"],
)
def test_a_seccomp_profile_that_protects_nothing_is_refused(
    engine: TestEngine, image: str, tmp_path: Path, profile: str | None, why: str
) -> None:
    path = tmp_path / "profile.json"
    if profile is not None:
        path.write_text(profile)
    changed = {"HAKOIRI_CONTAINER__SECCOMP_PROFILE": str(path), "HAKOIRI_CONTAINER__IMAGE": image}
    ended = serve(variables(tmp_path, engine.docker_host, changed))
    assert ended.returncode == 2
    (said,) = sentences(ended)
    assert "HAKOIRI_CONTAINER__SECCOMP_PROFILE" in said
    assert str(path) in said
    assert why in said
    assert is_all_gone(tmp_path)


def test_a_missing_image_is_told_with_the_command_that_builds_it(
    engine: TestEngine, tmp_path: Path
) -> None:
    changed = {"HAKOIRI_CONTAINER__IMAGE": "hakoiri/workspace:there-is-none"}
    ended = serve(variables(tmp_path, engine.docker_host, changed))
    assert ended.returncode == 2
    (said,) = sentences(ended)
    assert "hakoiri/workspace:there-is-none" in said
    assert "`hakoiri image build`" in said
    assert is_all_gone(tmp_path)


def test_an_engine_that_does_not_answer_is_told(image: str, tmp_path: Path) -> None:
    docker_host = f"unix://{tmp_path}/no-engine.sock"
    ended = serve(variables(tmp_path, docker_host, {"HAKOIRI_CONTAINER__IMAGE": image}))
    assert ended.returncode == 1, "a unit that starts it again may do so"
    (said,) = sentences(ended)
    assert "no-engine.sock" in said
    assert is_all_gone(tmp_path)


def test_an_address_that_others_reach_needs_a_key(
    engine: TestEngine, image: str, tmp_path: Path
) -> None:
    changed = {"HAKOIRI_HOST": "0.0.0.0", "HAKOIRI_CONTAINER__IMAGE": image}
    ended = serve(variables(tmp_path, engine.docker_host, changed))
    assert ended.returncode == 2
    (said,) = sentences(ended)
    assert "0.0.0.0" in said
    assert "`hakoiri key create`" in said
    assert is_all_gone(tmp_path)


def test_a_port_that_is_taken_is_named_and_not_taken_for_our_server(
    engine: TestEngine, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ended = serve(variables(tmp_path, engine.docker_host, {"HAKOIRI_PORT": str(port)}))
    assert ended.returncode == 2
    (said,) = sentences(ended)
    assert f"port {port}" in said
    assert "HAKOIRI_PORT" in said
    assert "Hakoiri serves" not in ended.stderr
    assert is_all_gone(tmp_path)


def test_a_directory_with_other_files_is_refused_and_untouched(
    engine: TestEngine, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    (data / "thesis.txt").write_text("years of work")
    before = (data.stat(), (data / "thesis.txt").stat())
    ended = serve(variables(tmp_path, engine.docker_host))
    assert ended.returncode == 2
    (said,) = sentences(ended)
    assert str(data) in said
    assert "empty directory" in said
    assert [entry.name for entry in data.iterdir()] == ["thesis.txt"]
    after = (data.stat(), (data / "thesis.txt").stat())
    assert [(one.st_uid, one.st_mode, one.st_mtime_ns) for one in after] == [
        (one.st_uid, one.st_mode, one.st_mtime_ns) for one in before
    ]


def test_without_root_it_is_one_sentence(engine: TestEngine, tmp_path: Path) -> None:
    spec = ProcessSpec(
        name="serve",
        arguments=("-P", "-m", "hakoiri.cli", "serve"),
        uid=NOBODY,
        gid=NOBODY,
    )
    ended = subprocess.run(
        launch_command(spec, shown=code_directories(), supervisor_pid=os.getpid()),
        env=variables(tmp_path, engine.docker_host),
        cwd="/",
        capture_output=True,
        text=True,
        timeout=END_TIMEOUT_S,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stdout == ""
    (said,) = ended.stderr.splitlines()
    assert said.startswith("hakoiri serve: ")
    assert "root" in said
    assert "sudo" in said
    assert not (tmp_path / "data").exists()


@pytest.fixture(scope="module")
def impatient(
    engine: TestEngine, image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hakoiri]:
    """A server that gives containers no time to get healthy."""
    with hakoiri(
        tmp_path_factory.mktemp("impatient"),
        docker_host=engine.docker_host,
        settings={"HAKOIRI_CONTAINER__START_TIMEOUT_S": "0.01", "HAKOIRI_CONTAINER__IMAGE": image},
    ) as running:
        yield running


def test_a_container_that_never_gets_healthy_is_one_error_and_leaves_nothing(
    impatient: Hakoiri,
) -> None:
    conversation = impatient.conversation()
    for turn in (1, 2):
        events = impatient.turn(conversation, "hello")
        assert [event["type"] for event in events] == ["user_message", "error"]
        assert {event["turn"] for event in events} == {turn}
        (error,) = data_of(events, "error")
        assert error["code"] == "container-start-failed"
        assert "HAKOIRI_CONTAINER__START_TIMEOUT_S" in error["text"]
        assert error["retryable"] is True
    assert [event["id"] for event in impatient.log(conversation)] == [1, 2, 3, 4]
    until(lambda: impatient.containers() == [] == impatient.boxes())

    def sockets() -> list[str]:
        return sorted(path.name for path in (impatient.run_dir / "proxy").iterdir())

    until(lambda: sockets() == ["ca.pem", "control.sock"], lambda: str(sockets()))


def test_a_second_server_on_the_same_data_is_refused_and_the_first_goes_on(
    impatient: Hakoiri,
) -> None:
    ended = serve(variables(impatient.root, impatient.docker_host))
    assert ended.returncode == 2
    (said,) = sentences(ended)
    assert "another hakoiri serve" in said
    assert str(impatient.data_dir) in said
    impatient.api.call("GET", "/ready")


def test_credentials_around_the_server_reach_no_process_and_no_container(
    engine: TestEngine, image: str, tmp_path: Path
) -> None:
    made = prepare(
        tmp_path,
        docker_host=engine.docker_host,
        script=RUN,
        settings={**PLANTED, "HAKOIRI_CONTAINER__IMAGE": image},
    )
    with made.server:
        inside = made.turn(made.conversation(), "run: env; cat /proc/*/environ")
        assert inside[-1]["type"] == "result"
        (container,) = made.containers()
        inspected = made.inspect(container)
        pids = [made.server.pid, *descendants(made.server.pid), inspected["State"]["Pid"]]
        pids += descendants(inspected["State"]["Pid"])
        assert len(pids) >= 5
        seen = [text for pid in pids if (text := of_process(pid, "environ"))]  # of those there are
        assert len(seen) >= 5
        assert all("PATH=" in text for text in seen), "the look sees environments"
        seen += [json.dumps(inspected), json.dumps(inside)]
    log = made.server.log.read_text()
    assert all(name in log for name in PLANTED), "they were there, and it is told that they went"
    seen.append(log)
    for text in seen:
        assert not [name for name, value in PLANTED.items() if value in text]


def test_a_database_that_a_newer_version_has_used_is_refused_and_left_as_it_is(
    engine: TestEngine, image: str, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    made = prepare(
        tmp_path, docker_host=engine.docker_host, settings={"HAKOIRI_CONTAINER__IMAGE": image}
    )
    with made.server:
        made.conversation()
    with closing(sqlite3.connect(made.data_dir / "hakoiri.sqlite")) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.commit()
    made.server.start()
    until(lambda: made.server.exit_code is not None)
    assert made.server.exit_code == 2
    said = made.server.log.read_text(errors="replace")
    assert "the database has schema 9999, and this version of Hakoiri knows none after" in said
    with closing(sqlite3.connect(made.data_dir / "hakoiri.sqlite")) as database:
        assert database.execute("SELECT count(*) FROM conversations").fetchall() == [(1,)]
