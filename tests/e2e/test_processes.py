"""The processes of a running server: as whom they run, what they may, what they cannot see."""

import pwd
import stat
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.e2e.running import Hakoiri, descendants, hakoiri, of_process
from tests.e2e.scripts import RUN
from tests.engine import TestEngine
from tests.waiting import until

pytestmark = [pytest.mark.engine, pytest.mark.root]

SERVER = "hakoiri.host"
PROXY = "hakoiri.credential_proxy"
GUARD = "hakoiri.docker_guard"
REHEARSAL = "hakoiri.rehearsal"

CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_SYS_ADMIN = 0, 1, 3, 21
"""Bits, from linux/capability.h."""

FILE_CAPABILITIES = 1 << CAP_CHOWN | 1 << CAP_DAC_OVERRIDE | 1 << CAP_FOWNER
WAIT_S = 60.0
SECRET = "planted-in-the-proxy-s-own-file"
REACH = "exec 3<>/dev/tcp/127.0.0.1/{}"
OPERATORS = "planted-in-the-environment-of-whoever-starts-it"


@pytest.fixture(scope="module")
def server(
    engine: TestEngine, image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hakoiri]:
    root = tmp_path_factory.mktemp("processes")
    own = root / "proxy"
    own.mkdir()
    (own / "proxy.env").touch(mode=0o600)
    (own / "proxy.env").write_text(f"OUTSIDE_API_KEY={SECRET}\n")
    with hakoiri(
        root,
        docker_host=engine.docker_host,
        script=RUN,
        settings={"HAKOIRI_CONTAINER__IMAGE": image, "AWS_SECRET_ACCESS_KEY": OPERATORS},
    ) as running:
        running.turn(running.conversation(), "hello")
        yield running


def process(server: Hakoiri, module: str) -> int:
    (pid,) = server.processes(module)
    return pid


def status(pid: int) -> dict[str, list[str]]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: rest.split() for name, _, rest in (line.partition(":") for line in lines)}


def seen_by(pid: int, path: Path) -> list[str]:
    """What lies in the directory as the process's mount namespace has it; nothing if it is gone."""
    with suppress(FileNotFoundError):
        return sorted(entry.name for entry in Path(f"/proc/{pid}/root{path}").iterdir())
    return []


def taken_over(pid: int, *command: str) -> list[str]:
    """The command that runs another where the process is and with no more than its rights."""
    own = status(pid)
    held = int(own["CapEff"][0], 16)
    kept = "".join(f",+cap_{bit}" for bit in range(held.bit_length()) if held >> bit & 1)
    groups = ["--groups", ",".join(own["Groups"])] if own["Groups"] else ["--clear-groups"]
    return [
        *("nsenter", f"--target={pid}", "--mount", "setpriv"),
        *(f"--reuid={own['Uid'][0]}", f"--regid={own['Gid'][0]}", *groups),
        *(f"--inh-caps=-all{kept}", f"--ambient-caps=-all{kept}"),
        *(f"--bounding-set=-all{kept}", "--no-new-privs", "--", *command),
    ]


def as_taken_over(pid: int, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(taken_over(pid, *command), capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("module", "user", "capabilities"),
    [
        (SERVER, "hakoiri", FILE_CAPABILITIES),
        (PROXY, "hakoiri-proxy", 0),
        (GUARD, "hakoiri-guard", FILE_CAPABILITIES | 1 << CAP_SYS_ADMIN),
        (REHEARSAL, "nobody", 0),
    ],
)
def test_each_process_is_a_user_of_its_own_with_the_fewest_rights(
    server: Hakoiri, module: str, user: str, capabilities: int
) -> None:
    account = pwd.getpwnam(user)
    found = status(process(server, module))
    assert found["Uid"] == [str(account.pw_uid)] * 4
    assert found["Gid"] == [str(account.pw_gid)] * 4
    assert "0" not in found["Groups"]
    for name in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb"):
        assert int(found[name][0], 16) == capabilities, name
    assert found["NoNewPrivs"] == ["1"]


@pytest.mark.parametrize("module", [GUARD, "hakoiri.audit", "hakoiri.audit.reader"])
def test_who_needs_no_network_has_none(server: Hakoiri, module: str) -> None:
    pid = process(server, module)
    assert Path(f"/proc/{pid}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()
    interfaces = Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:]
    assert [line.split(":")[0].strip() for line in interfaces] == ["lo"]
    reached = subprocess.run(
        [
            *("nsenter", f"--target={pid}", "--net"),
            *("bash", "-c", REACH.format(server.server.port)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "unreachable" in reached.stderr, reached


def test_only_the_proxy_has_the_secrets_of_its_files(server: Hakoiri) -> None:
    environment = {pid: of_process(pid, "environ") for pid in descendants(server.server.pid)}
    holders = [pid for pid, text in environment.items() if SECRET in text]
    assert sorted(holders) == sorted(server.processes(PROXY, with_spares=True))
    assert process(server, PROXY) in holders


def test_no_process_keeps_a_credential_of_the_environment_it_was_started_in(
    server: Hakoiri,
) -> None:
    for pid in (server.server.pid, *descendants(server.server.pid)):
        environment = of_process(pid, "environ")
        assert "PATH=" in environment or not of_process(pid, "cmdline"), "it has not just ended"
        assert OPERATORS not in environment
    told = server.server.log.read_text()
    (dropped,) = [line for line in told.splitlines() if "dropped from its environment" in line]
    assert "AWS_SECRET_ACCESS_KEY" in dropped
    assert OPERATORS not in told


def test_the_server_sees_nothing_where_the_proxys_files_are(server: Hakoiri) -> None:
    pid = process(server, SERVER)
    for directory in (server.root / "proxy", server.run_dir / "own"):
        assert list(directory.iterdir()), "there is something to hide"
        assert seen_by(pid, directory) == []
        assert as_taken_over(pid, "ls", "--almost-all", str(directory)).stdout == ""
        assert as_taken_over(pid, "umount", str(directory)).returncode != 0
        assert as_taken_over(pid, "touch", str(directory / "x")).returncode != 0


@pytest.mark.parametrize("what", ["environ", "root/", "mem", "fd/1", "maps"])
def test_the_server_cannot_look_into_the_proxy(server: Hakoiri, what: str) -> None:
    path = f"/proc/{process(server, PROXY)}/{what}"
    reads = ["ls", path] if what.endswith("/") else ["head", "--bytes=1", path]
    refused = as_taken_over(process(server, SERVER), *reads)
    assert refused.returncode != 0
    assert refused.stdout == ""
    assert "Permission denied" in refused.stderr


def test_the_proxy_sees_no_data_and_no_engine(server: Hakoiri) -> None:
    pid = process(server, PROXY)
    assert (server.data_dir / "hakoiri.sqlite").exists()
    assert seen_by(pid, server.data_dir) == []
    assert as_taken_over(pid, "ls", str(server.data_dir)).returncode != 0
    engine = server.docker_host.removeprefix("unix://")
    assert as_taken_over(pid, "test", "-w", engine).returncode != 0


def test_sockets_and_data_are_open_to_our_users_alone(server: Hakoiri) -> None:
    server_user, proxy_user = pwd.getpwnam("hakoiri"), pwd.getpwnam("hakoiri-proxy")
    guard_user = pwd.getpwnam("hakoiri-guard")
    (socket_directory,) = (path for path in (server.run_dir / "proxy").iterdir() if path.is_dir())
    expected = {
        server.run_dir: (0, server_user.pw_gid, 0o750),
        server.run_dir / "own": (0, proxy_user.pw_gid, 0o750),
        server.run_dir / "own" / "proxy.toml": (0, proxy_user.pw_gid, 0o640),
        server.run_dir / "proxy": (proxy_user.pw_uid, server_user.pw_gid, 0o2750),
        server.proxy_state_dir: (proxy_user.pw_uid, proxy_user.pw_gid, 0o700),
        server.data_dir: (server_user.pw_uid, server_user.pw_gid, 0o750),
        # a container's root, here the host's, looks up what is mounted in it
        server.tree: (0, 0, 0o710),
        server.run_dir / "guard": (guard_user.pw_uid, server_user.pw_gid, 0o2750),
    }
    found = {path: path.stat() for path in expected}
    assert {
        path: (one.st_uid, one.st_gid, stat.S_IMODE(one.st_mode)) for path, one in found.items()
    } == expected
    control = (server.run_dir / "proxy" / "control.sock").stat()
    assert control.st_uid == proxy_user.pw_uid
    assert control.st_gid == server_user.pw_gid
    assert stat.S_IMODE(control.st_mode) & 0o007 == 0
    assert socket_directory.stat().st_uid == proxy_user.pw_uid
    assert stat.S_IMODE(socket_directory.stat().st_mode) & 0o022 == 0


def test_a_stranger_on_the_host_reaches_no_socket_and_no_data(server: Hakoiri) -> None:
    for path in (server.run_dir / "proxy" / "control.sock", server.data_dir / "hakoiri.sqlite"):
        listed = as_taken_over(process(server, REHEARSAL), "ls", str(path))
        assert listed.returncode != 0
        assert "Permission denied" in listed.stderr


def test_sigterm_ends_all_in_time_and_leaves_nothing(
    engine: TestEngine, image: str, tmp_path: Path
) -> None:
    with hakoiri(
        tmp_path,
        docker_host=engine.docker_host,
        script=RUN,
        settings={"HAKOIRI_CONTAINER__IMAGE": image},
    ) as running:
        running.turn(running.conversation(), "hello")
        busy = running.conversation()
        running.api.call(
            "POST", f"/v1/conversations/{busy}/messages", {"text": "run: exec sleep 300"}
        )
        for event in running.api.follow(busy):
            if event["type"] == "tool_use":
                break
        pids = descendants(running.server.pid)
        boxes = [running.inspect(container) for container in running.containers()]
        names = {box["Config"]["Labels"]["hakoiri.container"] for box in boxes}
        assert len(names) == 2
        assert names <= mounted_names(names)
        assert running.server.stop() == 0, "it was not killed because it took too long"
    until(lambda: not [pid for pid in pids if of_process(pid, "cmdline")])
    assert running.containers() == []
    assert running.boxes() == []
    assert mounted_names(names) == set()
    assert not running.run_dir.exists()


def mounted_names(names: set[str]) -> set[str]:
    """Which of the containers still have a mount on this host."""
    mounts = Path("/proc/self/mountinfo").read_text()
    return {name for name in names if name in mounts}
