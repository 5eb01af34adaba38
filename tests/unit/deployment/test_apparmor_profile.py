"""The profile and its loader as files; what they do in a kernel is tried in tests/guest."""

import os
import re
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest
from tests.guest.mutants import MUTANTS, WITH_CAPABILITIES

from hakoiri.cli.doctor.apparmor_facts import read_apparmor
from hakoiri.host.container_settings import ContainerSettings
from hakoiri.host.containers.confinement import OWN_PROFILE
from hakoiri.host.containers.environment import agent_environment
from hakoiri.wire.agent import PROXY_MOUNT

DIRECTORY = Path(__file__).parents[3] / "deployment/apparmor"
LOADER = DIRECTORY / "load.sh"
PROFILE = DIRECTORY / OWN_PROFILE
RULES = [
    line.strip()
    for line in PROFILE.read_text().splitlines()
    if line.strip() and not line.strip().startswith("#")
]


def load(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(LOADER), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": os.environ["PATH"]} | variables,
    )


def test_the_profile_lies_in_the_package_under_the_name_that_the_code_names() -> None:
    assert PROFILE.is_symlink()
    packaged = files("hakoiri.host.containers").joinpath(f"{OWN_PROFILE}.apparmor")
    assert PROFILE.read_text() == packaged.read_text("utf-8")
    assert re.search(
        rf"^profile {OWN_PROFILE} flags=\(mediate_deleted\) {{$", "\n".join(RULES), re.MULTILINE
    )
    assert ContainerSettings(apparmor_profile=OWN_PROFILE).apparmor_profile == OWN_PROFILE


def test_no_rule_lets_a_program_leave_the_profile() -> None:
    for rule in RULES:
        allowed = re.fullmatch(r"(/\S*) ([a-zA-Z]+),", rule)
        if allowed:
            assert "x" not in allowed[2].replace("ix", ""), rule
        assert not re.match(r"(change_profile|mount|umount|remount|pivot_root|capability)\b", rule)


def test_only_what_is_the_containers_own_can_be_written() -> None:
    writable = {
        found[1]
        for rule in RULES
        if (found := re.fullmatch(r"(/\S*) ([a-z]+),", rule)) and set(found[2]) & {"w", "a", "l"}
    }
    assert writable == {
        "/workspace/{,**}",
        "/home/agent/{,**}",
        "/tmp/{,**}",  # noqa: S108 - the container's own
        "/dev/shm/{,**}",  # noqa: S108
        "/run/hakoiri/agent/{,**}",
        "/run/hakoiri/proxy/proxy.sock",
        "/dev/{full,null,random,tty,urandom,zero}",
        "/dev/{ptmx,pts/ptmx}",
        "/dev/pts/[0-9]*",
        "/proc/[0-9]*/{,task/[0-9]*/}comm",
    }


def test_the_certificates_that_clients_are_told_to_trust_can_be_read() -> None:
    named = agent_environment(
        provider="bedrock", region="eu-west-1", model=None, retries=1, processors=2
    )
    files = {value for value in named.values() if value.startswith(f"{PROXY_MOUNT}/")}
    assert files
    assert all(re.fullmatch(rf"{PROXY_MOUNT}/[a-z-]+\.pem", file) for file in files)
    assert f"{PROXY_MOUNT}/{{,*.pem}} r," in RULES


def test_each_rule_that_denies_is_opened_by_a_mutant_or_named_as_not_tried() -> None:
    opened = {change.find.strip() for changes in MUTANTS.values() for change in changes}
    opened |= {find.strip() for find in WITH_CAPABILITIES}
    denying = {rule for rule in RULES if rule.startswith("audit deny")}
    assert not any(rule.startswith("deny") for rule in RULES), "a denial is always told"
    assert denying - opened == {
        # no such family in the guest's kernel
        "audit deny network bluetooth,",
    }


def test_the_loader_tells_its_use() -> None:
    told = load("--help")
    assert (told.returncode, told.stderr) == (0, "")
    assert all(word in told.stdout for word in ("check", "load", "verify", "unload", OWN_PROFILE))
    for wrong in ((), ("reload",), ("load", "x")):
        refused = load(*wrong)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert refused.stderr.startswith("usage: ")


@pytest.mark.parametrize("command", ["check", "load", "verify", "unload"])
def test_a_kernel_without_apparmor_is_one_sentence(command: str) -> None:
    if read_apparmor().enabled:
        pytest.skip("this kernel has AppArmor; see tests/guest")
    if os.geteuid() != 0:
        pytest.skip("the loader wants root first")
    refused = load(command)
    assert (refused.returncode, refused.stdout) == (2, "")
    (line,) = refused.stderr.splitlines()
    assert "not enabled in this kernel" in line


def test_the_loader_is_fit_for_bash() -> None:
    assert LOADER.stat().st_mode & 0o111
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", str(LOADER)], check=True)
    subprocess.run(["bash", "-n", str(LOADER)], check=True)
