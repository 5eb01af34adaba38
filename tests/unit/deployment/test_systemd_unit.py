"""The unit as a file, and as systemd's own checks see it; it is run in tests/systemd."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.conftest import give_up

from hakoiri.cli.supervisor.supervisor import KILL_AFTER_S, LEAVE, READY_TIMEOUT_S

DIRECTORY = Path(__file__).parents[3] / "deployment/systemd"
UNIT = DIRECTORY / "hakoiri.service"
EXPOSURE_LIMIT = 53
"""In tenths. `systemd-analyze security` of systemd 252 says 5.2: the supervisor is root, and mounts
for others."""

MOUNT_NAMESPACE = frozenset(
    {
        *("BindPaths", "BindReadOnlyPaths", "DynamicUser", "ExecPaths", "ExtensionDirectories"),
        *("ExtensionImages", "InaccessiblePaths", "IPCNamespacePath", "LogNamespace"),
        *("MountAPIVFS", "MountFlags", "MountImages", "NetworkNamespacePath", "NoExecPaths"),
        *("PrivateDevices", "PrivateIPC", "PrivateMounts", "PrivateNetwork", "PrivatePIDs"),
        *("PrivateTmp", "PrivateUsers", "ProcSubset", "ProtectControlGroups", "ProtectHome"),
        *("ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables", "ProtectProc"),
        *("ProtectSystem", "ReadOnlyPaths", "ReadWritePaths", "RootDirectory", "RootImage"),
        *("TemporaryFileSystem",),
    }
)
"""Directives for which systemd 252 to 257 give a unit a mount namespace (systemd.exec(5))."""

PROCESSES = 7
"""With the shipper, and the rehearsal that production does not have."""


def directives() -> list[tuple[str, str]]:
    lines = [line for line in UNIT.read_text().splitlines() if re.match(r"[A-Z]\w*=", line)]
    return [(name, value) for name, _, value in (line.partition("=") for line in lines)]


def value_of(name: str) -> str:
    return " ".join(value for found, value in directives() if found == name)


def test_nothing_makes_a_mount_namespace() -> None:
    assert {name for name, _ in directives()} & MOUNT_NAMESPACE == set()


def test_a_restart_leaves_containers_and_a_stop_does_not() -> None:
    assert value_of("RestartKillSignal") == LEAVE.name
    assert value_of("KillSignal") == "SIGTERM"
    assert value_of("KillMode") == "mixed", "the supervisor ends the others in order"


def test_the_times_are_longer_than_those_of_the_supervisor() -> None:
    assert int(value_of("TimeoutStartSec")) > (PROCESSES - 1) * READY_TIMEOUT_S
    # the server is the first to be ended; the others hold nothing up
    assert int(value_of("TimeoutStopSec")) > 2 * KILL_AFTER_S


def test_wrong_settings_are_not_tried_again() -> None:
    assert value_of("Restart") == "on-failure"
    assert value_of("RestartPreventExitStatus") == "2"
    assert int(value_of("StartLimitBurst")) * 10 < int(value_of("StartLimitIntervalSec"))


def test_it_starts_what_the_installer_installs() -> None:
    installer = (DIRECTORY / "install.sh").read_text()
    assert value_of("ExecStart") == "/opt/hakoiri/current/.venv/bin/hakoiri serve --production"
    assert "readonly CURRENT=$BASE/current" in installer
    assert "BASE=/opt/hakoiri\n" in installer
    assert "/opt/hakoiri/current/.venv/bin/hakoiri" in (DIRECTORY / "hakoiri").read_text()
    for name in ("hakoiri", "install.sh"):
        assert os.access(DIRECTORY / name, os.X_OK), name


@pytest.fixture(scope="module")
def analyze() -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        give_up("there is no systemd-analyze; `make test` installs it")
    assert found is not None
    return found


def test_systemd_finds_no_fault_in_it(analyze: str, tmp_path: Path) -> None:
    text = UNIT.read_text().replace("/opt/hakoiri/current/.venv/bin/hakoiri", "/bin/true")
    (tmp_path / UNIT.name).write_text(text)
    done = subprocess.run(
        [analyze, "verify", "--man=no", "--recursive-errors=no", str(tmp_path / UNIT.name)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("limit", "is_within"), [(EXPOSURE_LIMIT, True), (EXPOSURE_LIMIT - 5, False)]
)
def test_systemd_sees_no_more_exposure_than_is_argued(
    analyze: str,
    limit: int,
    is_within: bool,  # noqa: FBT001 - parametrized
) -> None:
    options = ("--offline=true", f"--threshold={limit}", "--no-pager")
    done = subprocess.run(
        [analyze, "security", *options, str(UNIT)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "Overall exposure level" in done.stdout
    assert (done.returncode == 0) == is_within, done.stdout
