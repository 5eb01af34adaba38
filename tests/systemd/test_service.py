"""The unit under a systemd of its own: started, looked at, restarted in a turn, killed, stopped."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.systemd.conftest import UNIT, WORDS, Installed, until
from tests.systemd.machine import Machine

from hakoiri.cli.api_client import ApiError

pytestmark = [
    pytest.mark.booted,
    pytest.mark.engine,
    pytest.mark.root,
    pytest.mark.timeout(1500),
]

SUPERVISORS = (
    "chown",
    "dac_override",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "sys_admin",
    "syslog",
)
BITS = {
    "chown": 0,
    "dac_override": 1,
    "fowner": 3,
    "fsetid": 4,
    "kill": 5,
    "setgid": 6,
    "setuid": 7,
    "setpcap": 8,
    "sys_admin": 21,
    "syslog": 34,
}
"""From linux/capability.h."""

PROCESSES = (
    "hakoiri.host",
    "hakoiri.credential_proxy",
    "hakoiri.docker_guard",
    "hakoiri.audit",
    "hakoiri.audit.reader",
)
WAITS = "run: until [ -e go ]; do sleep 0.1; done; echo went"
STOP_LIMIT_S = 60.0


@pytest.fixture(scope="module")
def service(installed: Installed) -> Iterator[Installed]:
    installed.start()
    yield installed
    installed.machine.run("systemctl", "stop", UNIT)


@pytest.fixture
def running(service: Installed) -> Installed:
    """Running, also if the test before stopped it."""
    if service.machine.property_of(UNIT, "ActiveState") != "active":
        service.machine.attempt("systemctl", "reset-failed", UNIT)
        service.start()
    return service


class WaitingTurn:
    """A turn whose tool waits until it is let go."""

    def __init__(self, service: Installed) -> None:
        self.service = service
        self.conversation = service.conversation()
        self.text = f"{WAITS} {self.conversation}"
        self._seen: list[str] = []
        self._refusal = ""
        self._talk = threading.Thread(target=self._listen)
        self._talk.start()
        until(lambda: "tool_use" in self._seen, lambda: f"{self._seen}, {self._refusal}")

    def _listen(self) -> None:
        try:
            for event in self.service.api.send(self.conversation, self.text):
                self._seen.append(event["type"])
        except ApiError as error:
            self._refusal = str(error)  # the server went away under it

    def let_go_and_end(self) -> list[dict[str, Any]]:
        path = f"/v1/conversations/{self.conversation}"
        self.service.api.call("POST", f"{path}/workspace/exec", {"argv": ["touch", "go"]})
        until(lambda: not self.service.api.call("GET", path)["running"])
        self._talk.join()
        return self.service.log(self.conversation)


def check_went_on(turn: WaitingTurn, events: list[dict[str, Any]]) -> None:
    types = [event["type"] for event in events]
    assert events[-1]["type"] == "result", events[-1]["data"]
    assert "went" in events[-1]["data"]["text"]
    assert types.count("tool_use") == types.count("tool_result") == 1
    assert "container_recovered" not in types
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))
    assert turn.service.told_to_the_model(turn.text) <= {1}


def test_a_turn_runs_to_its_result(running: Installed) -> None:
    last = running.turn(running.conversation(), "run: echo it works")[-1]
    assert last["type"] == "result", last
    assert "it works" in last["data"]["text"]


def test_started_means_that_it_serves(running: Installed) -> None:
    running.machine.run("systemctl", "stop", UNIT)
    running.machine.run("systemctl", "start", UNIT)
    assert running.api.call("GET", "/health")


def test_the_supervisor_has_the_rights_that_the_unit_gives_and_no_more(running: Installed) -> None:
    status = running.status_of(running.main_pid())
    assert int(status["CapBnd"], 16) == sum(1 << BITS[name] for name in SUPERVISORS)
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert int(status["CapAmb"], 16) == 0


def test_every_process_is_below_the_filter_and_no_root(running: Installed) -> None:
    for module in PROCESSES:
        status = running.status_of(running.process(module))
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2"), module
        assert "0" not in status["Uid"].split(), module


CALL = (
    "c = ctypes.CDLL(None, use_errno=True); r = c.{}; e = ctypes.get_errno(); raise OSError(e, r)"
)
FORBIDDEN = {
    "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)": "EAFNOSUPPORT",
    "socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)": "EAFNOSUPPORT",
    CALL.format("unshare(0x10000000)"): "EPERM",  # CLONE_NEWUSER
    CALL.format("swapoff(b'/none')"): "EPERM",
    "mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)": "EPERM",
    "open('/dev/loop-control', 'rb'); open('/dev/watchdog', 'rb')": "EPERM",
}


def test_what_the_unit_forbids_fails_in_it(running: Installed) -> None:
    running.machine.run("mknod", "/dev/watchdog", "c", "10", "130")
    for code, name in FORBIDDEN.items():
        lines = ("import ctypes, errno, mmap, socket", "try:", f"    {code}")
        told = ("except OSError as e:", "    print(errno.errorcode[e.errno])")
        assert in_the_unit(running, "\n".join([*lines, *told])) == name, code


OTHERWISE = {"Type": "Type=oneshot", "ExecStart": "ExecStart=/usr/bin/python3 /srv/code.py"}


def in_the_unit(service: Installed, code: str) -> str:
    """What Python code prints when it runs under the unit's own directives."""
    text = service.machine.run("cat", f"/etc/systemd/system/{UNIT}")
    lines = []
    for line in text.splitlines():
        name = line.partition("=")[0]
        if name not in {"NotifyAccess", "Restart", "ExecReload", "RestartKillSignal"}:
            lines.append(OTHERWISE.get(name, line))
    service.machine.write("/srv/code.py", code)
    service.machine.write("/run/systemd/system/tried.service", "\n".join(lines))
    service.machine.run("systemctl", "daemon-reload")
    since = f"@{time.time():.6f}"
    service.machine.attempt("systemctl", "start", "tried.service")
    said = service.machine.run(
        *("journalctl", "--no-pager", "--output=cat", f"--since={since}"),
        *("--unit=tried.service", "_COMM=python3"),
    )
    return said.strip()


def test_what_the_guard_mounts_reaches_the_engine(running: Installed) -> None:
    """The one thing that a mount namespace of the unit's would break."""
    machine = running.machine
    own = machine.run("readlink", f"/proc/{running.main_pid()}/ns/mnt")
    assert own == machine.run("readlink", "/proc/1/ns/mnt")
    running.turn(running.conversation(), "run: echo kept > kept")
    mounted = machine.run("cat", "/proc/1/mountinfo")
    assert "/var/lib/hakoiri-live/" in mounted


@pytest.mark.parametrize(
    ("directive", "is_seen"), [("PrivateTmp=yes", False), ("ProtectClock=yes", True)]
)
def test_what_is_mounted_in_a_mount_namespace_of_a_units_stays_in_it(
    booted: Machine,
    directive: str,
    is_seen: bool,  # noqa: FBT001 - parametrized
) -> None:
    """Why the unit has no directive that makes one (tests/unit/deployment names them)."""
    place = f"/srv/{directive.partition('=')[0]}"
    booted.run("mkdir", "--parents", f"{place}/inner")
    booted.run("mount", "--bind", place, place)
    booted.run("mount", "--make-shared", place)
    mounting = ("mount", "-t", "tmpfs", "none", f"{place}/inner")
    booted.run("systemd-run", "--wait", f"--property={directive}", *mounting)
    assert (f"{place}/inner" in booted.run("cat", "/proc/1/mountinfo")) == is_seen


def test_the_secrets_come_from_systemd_and_reach_the_proxy_alone(running: Installed) -> None:
    machine = running.machine
    for module in PROCESSES:
        environ = machine.run("cat", f"/proc/{running.process(module)}/environ")
        assert (running.secret in environ) == (module == "hakoiri.credential_proxy"), module
    seen = machine.attempt("ls", f"/proc/{running.process('hakoiri.host')}/root/run/credentials")
    assert "proxy.env" not in seen.stdout


def test_a_restart_in_the_middle_of_a_turn_costs_nothing(running: Installed) -> None:
    turn = WaitingTurn(running)
    running.machine.run("systemctl", "restart", UNIT)
    running.until_ready()
    check_went_on(turn, turn.let_go_and_end())


def test_a_model_call_that_a_restart_cuts_is_made_again(running: Installed) -> None:
    """The proxy is gone for some seconds; the agent asks again by itself."""
    conversation = running.conversation()
    path = f"/v1/conversations/{conversation}"
    running.api.call("POST", f"{path}/messages", {"text": "speak slowly"})
    until(lambda: "text_delta" in [event["type"] for event in running.log(conversation)])
    running.machine.run("systemctl", "restart", UNIT)
    running.until_ready()
    until(lambda: not running.api.call("GET", path)["running"])
    last = running.log(conversation)[-1]
    assert (last["type"], last["data"].get("text")) == ("result", WORDS), last["data"]


def test_an_upgrade_and_the_way_back_in_the_middle_of_a_turn_cost_nothing(
    running: Installed,
) -> None:
    machine = running.machine
    first = machine.run("readlink", "/opt/hakoiri/current").strip()
    machine.run("cp", "--archive", running.checkout, "/srv/second")
    machine.run("sed", "-i", 's/^version = .*/version = "0.2.0"/', "/srv/second/pyproject.toml")
    # made once before, as that takes longer than a tool of the agent's may run
    running.install(checkout="/srv/second")
    running.install("back", checkout="/opt/hakoiri/current")
    running.until_ready()
    assert machine.run("readlink", "/opt/hakoiri/current").strip() == first
    turn = WaitingTurn(running)
    running.install(checkout="/srv/second")
    running.until_ready()
    assert "releases/0.2.0-" in machine.run("readlink", "/opt/hakoiri/current")
    assert machine.run("hakoiri", "--version").strip() == "hakoiri 0.2.0"
    running.install("back", checkout="/opt/hakoiri/current")
    running.until_ready()
    assert machine.run("readlink", "/opt/hakoiri/current").strip() == first
    check_went_on(turn, turn.let_go_and_end())
    listed = running.install("list")
    assert listed.count("(current)") == listed.count("(previous)") == 1


def test_the_way_back_is_refused_where_the_database_has_gone_on(running: Installed) -> None:
    machine = running.machine
    newer = machine.run("readlink", "-f", "/opt/hakoiri/current").strip()
    versions = f"{newer}/src/hakoiri/host/adapters/sql/migrations/versions"
    machine.write(f"{versions}/v9999_later.py", "")
    script = f"{newer}/deployment/systemd/install.sh"
    refused = machine.attempt("bash", script, "back")
    machine.run("rm", f"{versions}/v9999_later.py")
    assert refused.returncode == 2
    assert "does not know the database" in refused.stderr
    assert machine.run("readlink", "-f", "/opt/hakoiri/current").strip() == newer


def test_a_reload_takes_a_changed_file_of_the_proxy_and_no_broken_one(running: Installed) -> None:
    machine, path = running.machine, "/etc/hakoiri/proxy.toml"
    kept = machine.run("cat", path)
    machine.write(path, "broken")
    machine.run("systemctl", "reload", UNIT)
    until(lambda: "the old proxy file stays" in machine.journal(UNIT))
    machine.write(path, kept)
    machine.run("systemctl", "reload", UNIT)
    assert running.turn(running.conversation(), "run: echo on")[-1]["type"] == "result"


def test_a_supervisor_that_is_killed_is_started_again_and_the_turn_goes_on(
    running: Installed,
) -> None:
    turn = WaitingTurn(running)
    before = running.main_pid()
    running.machine.run("kill", "-KILL", str(before))
    until(lambda: running.main_pid() not in {0, before})
    running.until_ready()
    check_went_on(turn, turn.let_go_and_end())


def test_wrong_settings_are_told_once_and_not_tried_again(running: Installed) -> None:
    machine, path = running.machine, "/etc/hakoiri/hakoiri.toml"
    machine.run("systemctl", "stop", UNIT)
    kept = machine.run("cat", path)
    machine.write(path, kept + "\nnonsense = true\n")
    failed = machine.attempt("systemctl", "start", UNIT)
    machine.write(path, kept)
    assert failed.returncode != 0
    assert machine.property_of(UNIT, "ActiveState") == "failed"
    assert machine.property_of(UNIT, "NRestarts") == "0"
    assert "nonsense" in machine.journal(UNIT)


def test_a_stop_in_the_middle_of_a_turn_saves_its_files_and_leaves_nothing(
    running: Installed,
) -> None:
    machine = running.machine
    conversation = running.conversation()
    running.turn(conversation, "run: echo kept > kept")
    began_s = time.monotonic()
    machine.run("systemctl", "stop", UNIT)
    took_s = time.monotonic() - began_s
    assert machine.property_of(UNIT, "Result") == "success"
    assert running.containers() == []
    assert "/var/lib/hakoiri-live/" not in machine.run("cat", "/proc/1/mountinfo")
    assert took_s < STOP_LIMIT_S
    running.start()
    said = running.turn(conversation, "run: cat kept")[-1]
    assert "kept" in said["data"]["text"]
