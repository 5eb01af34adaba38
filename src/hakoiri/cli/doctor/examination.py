"""Collects the facts and lets each check judge its own."""

import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path

from hakoiri.cli.doctor import engine_checks, host_checks, host_facts
from hakoiri.cli.doctor.apparmor_facts import read_apparmor
from hakoiri.cli.doctor.coordination_checks import check_redis
from hakoiri.cli.doctor.engine_facts import EngineUnknownError, has_image, read_engine
from hakoiri.cli.doctor.finding import Finding
from hakoiri.cli.doctor.forgotten_disks import read_forgotten_disks
from hakoiri.host.containers.box import BoxError, read_profile
from hakoiri.host.settings import Settings

DEFAULT_RUN_DIRECTORY = Path("/run/hakoiri")

COMMANDS = {
    "docker": "docker.io",
    "setpriv": "util-linux",
    "unshare": "util-linux",
    "mount": "mount",
    "mke2fs": "e2fsprogs",
}
"""Commands that are run, and the Debian package of each. None of them needs a set-user-id bit."""


def examine(settings: Settings, *, image_reference: Callable[[], str]) -> list[Finding]:
    """Return all findings, the host's first. `image_reference` names the workspace image."""
    return [
        *_examine_machine(),
        *_examine_ground(settings),
        *_examine_engine(settings, image_reference=image_reference),
        *_examine_coordination(settings),
    ]


def _examine_coordination(settings: Settings) -> list[Finding]:
    if settings.redis_url is None:
        return []
    # Its client takes long to import, and most hosts have none.
    from hakoiri.cli.doctor.coordination_facts import read_redis  # noqa: PLC0415

    facts = read_redis(settings)
    return [] if facts is None else [check_redis(facts)]


def _examine_machine() -> list[Finding]:
    version = sys.version_info
    return [
        host_checks.check_platform(platform.system(), platform.release()),
        host_checks.check_root(os.geteuid()),
        host_checks.check_python((version.major, version.minor, version.micro)),
        *(
            host_checks.check_command(name, path=host_facts.find_command(name), package=package)
            for name, package in COMMANDS.items()
        ),
        host_checks.check_kernel_log(readable=host_facts.is_readable(Path("/dev/kmsg"))),
        host_checks.check_pressure(present=Path("/proc/pressure").is_dir()),
        host_checks.check_loop_devices(present=Path("/dev/loop-control").exists()),
        host_checks.check_forgotten_disks(read_forgotten_disks()),
    ]


def _examine_ground(settings: Settings) -> list[Finding]:
    run_directory = settings.run_dir or DEFAULT_RUN_DIRECTORY
    holder = host_facts.nearest_directory(run_directory)
    proxy = settings.proxy
    names = set(settings.users.model_dump().values())
    return [
        *(host_checks.check_user(name, host_facts.user_id(name)) for name in sorted(names)),
        host_checks.check_run_directory(
            run_directory, holder=holder, facts=host_facts.look_at(holder)
        ),
        host_checks.check_disk(
            "data directory", settings.data_dir, free=host_facts.free_bytes(settings.data_dir)
        ),
        host_checks.check_live_disk(
            settings.guard.live_dir,
            free=host_facts.free_bytes(settings.guard.live_dir),
            needed=_needed_for_a_container(settings),
        ),
        host_checks.check_proxy_file(proxy.file, host_facts.look_at(proxy.file)),
        host_checks.check_proxy_environment(proxy.env_file, host_facts.look_at(proxy.env_file)),
        _examine_filter(settings),
    ]


def _needed_for_a_container(settings: Settings) -> int:
    """Return what must be free for the docker guard to make one, in bytes."""
    container, guard = settings.container, settings.guard
    reserved_mib = container.workspace_mib + container.home_mib if guard.reserve_disk else 0
    return (guard.disk_floor_mib + reserved_mib) * 1024 * 1024


def _examine_filter(settings: Settings) -> Finding:
    path = settings.container.seccomp_profile
    try:
        allowed = len(read_profile(settings.container).allowed_names())
    except BoxError as error:
        return host_checks.check_filter(path, allowed=0, problem=str(error))
    return host_checks.check_filter(path, allowed=allowed, problem=None)


def _examine_engine(settings: Settings, *, image_reference: Callable[[], str]) -> list[Finding]:
    findings = _examine_socket(settings.docker_host)
    try:
        engine = read_engine(settings.docker_host)
        image = settings.container.image or image_reference()
        image_is_present = has_image(settings.docker_host, image)
    except EngineUnknownError as error:
        return [*findings, engine_checks.engine_away(settings.docker_host, str(error))]
    root = Path(engine.root_directory)
    return [
        *findings,
        engine_checks.check_engine(engine),
        engine_checks.check_limits(engine),
        engine_checks.check_storage(engine),
        host_checks.check_disk("engine's disk", root, free=host_facts.free_bytes(root)),
        engine_checks.check_seccomp(engine),
        engine_checks.check_apparmor(
            engine, kernel=read_apparmor(), profile=settings.container.apparmor_profile
        ),
        engine_checks.check_user_namespace(engine),
        engine_checks.check_runc(engine),
        engine_checks.check_runsc(engine, needed="runsc" in settings.container.allowed_runtimes),
        engine_checks.check_image(image, present=image_is_present),
    ]


def _examine_socket(docker_host: str) -> list[Finding]:
    """Look at the socket, unless the engine is reached by other means than one."""
    if not docker_host.startswith("unix://"):
        return []
    path = Path(os.path.realpath(docker_host.removeprefix("unix://")))
    facts = host_facts.look_at(path)
    members = host_facts.group_members(facts.group) if facts is not None else ()
    return [host_checks.check_engine_socket(path, facts, members=members)]
