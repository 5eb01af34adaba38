"""Which processes there are, as whom each runs, and what each may see."""

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Final

from hakoiri.cli.supervisor.audit_ground import (
    GUARD_CHAIN,
    PROXY_CHAIN,
    SERVER_CHAIN,
)
from hakoiri.cli.supervisor.database_places import database_directories, database_paths
from hakoiri.cli.supervisor.guard_rules import disk_rules
from hakoiri.cli.supervisor.preparation import (
    KEEPER_TELLS,
    Ground,
    PreparationError,
    code_directories,
    docker_socket_group,
)
from hakoiri.cli.supervisor.process import ProcessSpec, SealedView
from hakoiri.cli.supervisor.proxy_environment import read_proxy_environment
from hakoiri.cli.supervisor.proxy_file import PROXY_FILE
from hakoiri.cli.supervisor.rehearsal import Rehearsal, check_rehearsal_script
from hakoiri.cli.supervisor.store_directory import store_directories
from hakoiri.docker_guard.rules import GuardLaunch, Rules
from hakoiri.host.launch import AppArmorKnown, ProbeLaunch, ServerLaunch
from hakoiri.host.settings import Settings
from hakoiri.tracing.launch import TracingLaunch

NOBODY: Final = 65534
"""The rehearsal model holds nothing and needs nothing."""

CONTROL_SOCKET: Final = "control.sock"
GUARD_SOCKET: Final = "docker.sock"
READER_SOCKET: Final = "reader.sock"
KEEPER_STATUS: Final = Path(KEEPER_TELLS, "status.json")
SHIP_STATUS: Final = Path("ship/status.json")
PROXY_NAME: Final = "credential_proxy"

PASSED_ON: Final = ("PATH", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""All that our processes get of the environment `hakoiri serve` was started in."""

SERVER_CAPABILITIES: Final = ("chown", "fowner", "dac_override")
"""The control plane saves and restores files that belong to the containers' user."""

GUARD_CAPABILITIES: Final = (*SERVER_CAPABILITIES, "sys_admin")
"""The guard makes, mounts and removes the directories of containers."""

COVERED: Final = tuple(
    Path(path)
    for path in ("/run", "/dev", "/root", "/home", "/var/lib/docker", "/var/lib/containerd")
)
"""Where sockets, disks, keys and other containers' files are: the control plane needs none."""

FILE_STORE: Final = re.compile(r"file://(?P<path>/[^?]*).*")

SCRATCH: Final = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - covered by one of its own


def rehearsal_process(settings: Settings, rehearsal: Rehearsal) -> ProcessSpec:
    """Return the stand-in model API, on loopback. It gets its script from root's hand."""
    path = settings.model.rehearsal_script
    try:
        script = path.read_bytes() if path is not None else b""
    except OSError as error:
        raise PreparationError(
            f"HAKOIRI_MODEL__REHEARSAL_SCRIPT: cannot read {path}: {error}"
        ) from error
    if path is not None:
        check_rehearsal_script(script, path)
    return ProcessSpec(
        name="rehearsal",
        arguments=(
            "-m",
            "hakoiri.rehearsal",
            "--listen",
            f"127.0.0.1:{rehearsal.port}",
            "--region",
            settings.model.region,
            *(("--script", "-") if path is not None else ()),
        ),
        uid=NOBODY,
        gid=NOBODY,
        environment=passed_on() | rehearsal.environment,
        standard_input=script,
    )


def proxy_process(
    settings: Settings,
    ground: Ground,
    rehearsal: Rehearsal | None,
    *,
    tracing: TracingLaunch | None = None,
    file: Path | None = None,
) -> ProcessSpec:
    """Return the credential proxy: the one process that holds secrets.

    `file` is its own file; by default the one that the supervisor writes.
    """
    audit = ground.audit
    return ProcessSpec(
        name=PROXY_NAME,
        arguments=(
            "-m",
            "hakoiri.credential_proxy",
            "--sockets-dir",
            str(ground.proxy_dir),
            "--control",
            str(ground.proxy_dir / CONTROL_SOCKET),
            "--file",
            str(file or ground.run_dir / PROXY_FILE),
            "--state-dir",
            str(ground.proxy_state_dir),
            *(("--audit-dir", str(audit.chains[PROXY_CHAIN])) if audit is not None else ()),
            *(("--audit-goes-on",) if settings.audit.goes_on else ()),
            "--stand-by",
            *(("--tracing",) if tracing is not None else ()),
        ),
        uid=ground.proxy.uid,
        gid=ground.proxy.gid,
        # the server's group, to pass through the run directory
        groups=(ground.server.gid,),
        environment=passed_on()
        | read_proxy_environment(settings.proxy.env_file)
        | (rehearsal.environment if rehearsal is not None else {}),
        hidden=(settings.data_dir, ground.guard_dir),
        shown=(ground.proxy_state_dir, *_own_chain(ground, PROXY_CHAIN)),
        standard_input=tracing.model_dump_json().encode() if tracing is not None else b"",
        has_spare=True,
    )


def guard_process(settings: Settings, ground: Ground, rules: Rules) -> ProcessSpec:
    """Return the docker guard: the one process that can open the engine's socket."""
    launch = GuardLaunch(
        socket=ground.guard_dir / GUARD_SOCKET,
        client_uids=(ground.server.uid,),
        engine=settings.docker_host,
        tree=ground.tree,
        disks=ground.disks,
        disk_rules=disk_rules(settings),
        proxy_sockets=ground.proxy_dir,
        proxy_uid=ground.proxy.uid,
        audit_dir=next(iter(_own_chain(ground, GUARD_CHAIN)), None),
        audit_goes_on=settings.audit.goes_on,
        rules=rules,
    )
    return ProcessSpec(
        name="docker_guard",
        arguments=("-m", "hakoiri.docker_guard"),
        uid=ground.guard.uid,
        gid=ground.guard.gid,
        # the server's group, to pass through the run directory
        groups=(ground.server.gid, *docker_socket_group(settings.docker_host)),
        environment=passed_on(),
        capabilities=GUARD_CAPABILITIES,
        hidden=(
            settings.data_dir,
            *_proxy_directories(settings, ground),
            *store_directories(settings, apart_from=()),
            *(ground.audit.others(GUARD_CHAIN) if ground.audit is not None else ()),
        ),
        shown=(
            ground.tree,
            ground.disks,
            ground.run_dir,
            engine_directory(settings),
            *_own_chain(ground, GUARD_CHAIN),
        ),
        shared=(ground.tree, ground.disks),
        # the engine is a file; what else listens on this host is out of its reach
        has_network=False,
        standard_input=launch.model_dump_json().encode(),
    )


def probe_process(
    settings: Settings,
    ground: Ground,
    image: str,
    *,
    thorough: bool,
    report: int,
    apparmor: AppArmorKnown,
) -> ProcessSpec:
    """Return the probe, in the control plane's place; `report` is the descriptor it writes to."""
    server = _server_launch(settings, ground, image, apparmor=apparmor)
    launch = ProbeLaunch(server=server, thorough=thorough, report=report)
    return replace(
        server_process(settings, ground, image),
        name="probe",
        arguments=("-m", "hakoiri.host.probe"),
        standard_input=launch.model_dump_json().encode(),
        inherited=(report,),
        is_errand=True,
    )


def server_process(
    settings: Settings,
    ground: Ground,
    image: str,
    *,
    kernel_log: int | None = None,
    keep_containers: bool = False,
    apparmor: AppArmorKnown | None = None,
    tracing: TracingLaunch | None = None,
) -> ProcessSpec:
    """Return the control plane: it holds no credential, and cannot see the proxy's files.

    `kernel_log` is an open descriptor, in which it reads whom the system-call filter killed;
    `apparmor` is what root saw of the kernel's.
    """
    launch = _server_launch(
        settings,
        ground,
        image,
        kernel_log=kernel_log,
        keep_containers=keep_containers,
        apparmor=apparmor or AppArmorKnown(),
        tracing=tracing,
    )
    return ProcessSpec(
        name="server",
        arguments=("-m", "hakoiri.host"),
        uid=ground.server.uid,
        gid=ground.server.gid,
        environment=passed_on(),
        capabilities=SERVER_CAPABILITIES,
        hidden=_proxy_directories(settings, ground),
        view=server_view(settings, ground),
        standard_input=launch.model_dump_json().encode(),
        can_leave=True,
        # the lock as well: the next server waits until this one is gone, whatever ended us
        inherited=(ground.lock, *((kernel_log,) if kernel_log is not None else ())),
    )


def _server_launch(
    settings: Settings,
    ground: Ground,
    image: str,
    *,
    kernel_log: int | None = None,
    apparmor: AppArmorKnown = AppArmorKnown(),  # noqa: B008 - it is frozen
    keep_containers: bool = False,
    tracing: TracingLaunch | None = None,
) -> ServerLaunch:
    return ServerLaunch(
        settings=settings,
        instance=ground.instance,
        image=image,
        control_socket=ground.proxy_dir / CONTROL_SOCKET,
        guard_socket=ground.guard_dir / GUARD_SOCKET,
        kernel_log=kernel_log,
        keep_containers=keep_containers,
        apparmor=apparmor,
        audit_dir=next(iter(_own_chain(ground, SERVER_CHAIN)), None),
        audit_reader=ground.audit_dir / READER_SOCKET if ground.audit is not None else None,
        keeper_status=ground.run_dir / KEEPER_STATUS if ground.audit is not None else None,
        ship_status=ground.run_dir / SHIP_STATUS if settings.audit.ship_file is not None else None,
        tracing=tracing,
    )


def _own_chain(ground: Ground, chain: str) -> tuple[Path, ...]:
    return (ground.audit.chains[chain],) if ground.audit is not None else ()


def server_view(settings: Settings, ground: Ground) -> SealedView:
    """Return what the control plane sees, which may override file modes: its data, little else."""
    stores = [settings.data_dir]
    if found := FILE_STORE.fullmatch(settings.object_store_url or ""):
        stores.append(Path(found["path"]))
    stores += database_directories(settings.database_url)
    stores += _own_chain(ground, SERVER_CHAIN)
    kept = [ground.run_dir, Path("/etc/resolv.conf"), *database_paths(settings.database_url)]
    if settings.container.seccomp_profile is not None:
        kept.append(settings.container.seccomp_profile)
    kept += store_directories(settings, apart_from=_hidden_from_server(settings, ground))
    return SealedView(
        writable=tuple(stores),
        received=(ground.tree,),
        covered=(
            *COVERED,
            engine_directory(settings),
            # what is mounted in sight, also another instance's, would stay while the server runs
            ground.disks.parent,
            *((ground.audit.root,) if ground.audit is not None else ()),
        ),
        kept=tuple(kept),
        scratch=SCRATCH,
    )


def _hidden_from_server(settings: Settings, ground: Ground) -> tuple[Path, ...]:
    ours = (ground.tree, ground.disks, ground.run_dir, settings.data_dir)
    return (*_proxy_directories(settings, ground), *ours)


def engine_directory(settings: Settings) -> Path:
    """Return where the engine's socket is, which the control plane is not to see.

    An engine that is started anew makes its socket anew, so the directory must be hidden; raises
    `PreparationError` where that would hide too much or too little.
    """
    path = Path(os.path.realpath(settings.docker_host.removeprefix("unix://")))
    if not settings.docker_host.startswith("unix:///"):
        raise PreparationError(
            f"HAKOIRI_DOCKER_HOST: {settings.docker_host} is no Unix socket; name unix://PATH"
        )
    top = len(path.parts) <= 3 and path.parent not in {*COVERED, *SCRATCH}  # noqa: PLR2004 - /DIR/SOCKET
    if top or path.is_relative_to(os.path.realpath(settings.data_dir)):
        raise PreparationError(
            f"HAKOIRI_DOCKER_HOST: {path} needs a directory that can be hidden from the server; "
            "let the engine listen below /run"
        )
    return path.parent


def _proxy_directories(settings: Settings, ground: Ground) -> tuple[Path, ...]:
    """Return the directories of the proxy's files; they must hold nothing the server needs."""
    proxy = settings.proxy
    directories = {proxy.file.parent, proxy.env_file.parent, proxy.state_dir}
    for directory in directories:
        for needed in (settings.data_dir, ground.run_dir, ground.tree, *code_directories()):
            if needed.is_relative_to(directory):
                raise PreparationError(
                    f"HAKOIRI_PROXY__FILE, __ENV_FILE and __STATE_DIR need a directory of their "
                    f"own, hidden from the server; {directory} also holds {needed}"
                )
    return (*sorted(directories), (ground.run_dir / PROXY_FILE).parent)


def passed_on() -> dict[str, str]:
    """Return the few variables that our processes may inherit; none can hold a credential."""
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ}
