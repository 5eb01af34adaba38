"""`hakoiri service`: one of our processes, where somebody else starts and watches them."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from hakoiri.audit.chain import AuditError
from hakoiri.cli.doctor.apparmor_facts import read_apparmor
from hakoiri.cli.pinned_image import EngineSilentError, trusted_image
from hakoiri.cli.production_gate import require_production
from hakoiri.cli.screen import complain
from hakoiri.cli.supervisor.audit_ground import AuditGround
from hakoiri.cli.supervisor.audit_processes import keeper_process, reader_process
from hakoiri.cli.supervisor.audit_shipping import SETTING as SHIP_FILE_SETTING
from hakoiri.cli.supervisor.audit_shipping import (
    make_shippers_places,
    read_ship_file,
    shipper_spec,
)
from hakoiri.cli.supervisor.becoming import become
from hakoiri.cli.supervisor.boxes_view import show_boxes
from hakoiri.cli.supervisor.guard_rules import guard_rules
from hakoiri.cli.supervisor.preparation import (
    INSTANCE,
    LOCK_FILE,
    Ground,
    PreparationError,
    account,
    lay_out,
    make_places,
    open_kernel_log,
    prepare_data_directory,
    require_root,
    take_lock,
)
from hakoiri.cli.supervisor.process import ProcessSpec
from hakoiri.cli.supervisor.processes import guard_process, proxy_process, server_process
from hakoiri.cli.supervisor.trace_launch import tracing_launch
from hakoiri.cli.supervisor.way_out import close_way_out
from hakoiri.cli.workspace_image import image_reference
from hakoiri.docker_guard.kernel_mounts import MS_RDONLY, mount_points
from hakoiri.host import settings as host_settings
from hakoiri.host.containers.box import BoxError
from hakoiri.host.settings import Settings, SettingsError
from hakoiri.image.errors import ImageBuildError

USAGE_EXIT_CODE: Final = 2
VIEW_STAGE: Final = "view-stage"
CGROUPS: Final = frozenset({"cgroup", "cgroup2"})
"""The kernel's names of the file systems that control groups are."""

_OWNED: Final = re.compile(
    r"(?P<path>/[^=]+)=(?P<uid>\d{1,9}):(?P<gid>\d{1,9}):(?P<mode>[0-7]{3,4})"
)


class Process(StrEnum):
    """What can be started alone."""

    PREPARE = "prepare"
    """Makes the directories of all, and ends."""

    PRODUCTION = "production"
    """Looks whether a layer of protection is missing, as `serve --production` does, and ends."""

    KEEPER = "keeper"
    READER = "reader"
    SHIPPER = "shipper"
    """Copies the audit log to elsewhere, where HAKOIRI_AUDIT__SHIP_FILE says so."""

    GUARD = "guard"
    PROXY = "proxy"
    SERVER = "server"


def service(
    process: Annotated[Process, typer.Argument(help="Which one.")],
    *,
    instance: Annotated[
        str, typer.Option(help="The installation's id: 12 hex digits, made once, never changed.")
    ],
    own: Annotated[
        list[str] | None,
        typer.Option(help="prepare: PATH=UID:GID:MODE, a directory to make; may be given again."),
    ] = None,
    way_out: Annotated[
        bool, typer.Option("--way-out", help="server: keep the routes out of its network.")
    ] = False,
) -> None:
    """Run one process of `hakoiri serve`, in a container of its own.

    docker-compose.yml starts all of them so.
    Nothing is hidden and no view is made: that is the container's part. Guard and server are
    started as root and become their users with the capabilities they need; the others are started
    as who they are. The server takes the way out of its network away, and leaves its containers
    when it ends, for the next one to adopt.

    Examples:
      hakoiri service prepare --instance 0123456789ab --own /srv/redis=8426:8420:2750

      hakoiri service proxy --instance 0123456789ab
    """
    try:
        settings = host_settings.load()
        check_instance(instance)
        if process is Process.PREPARE:
            prepare_all(settings, instance, own or ())
            return
        if process is Process.PRODUCTION:
            require_production(settings, command=f"service {process}")
            trusted_image(settings)
            return
        if process is Process.SERVER and not way_out:
            close_way_out()
        become(SPECS[process](settings, lay_out(settings, instance)))
    except OSError as error:
        _give_up(process, PreparationError(str(error)), exit_code=1)
    except EngineSilentError as error:
        _give_up(process, error, exit_code=1)
    except (SettingsError, PreparationError, BoxError, ImageBuildError, AuditError) as error:
        _give_up(process, error, exit_code=USAGE_EXIT_CODE)


def _give_up(process: Process, error: Exception, *, exit_code: int) -> None:
    complain(f"service {process}", error)
    raise typer.Exit(exit_code) from None


def check_instance(instance: str) -> None:
    """Raise `PreparationError` unless it is an id, of which paths may be made."""
    if INSTANCE.fullmatch(instance) is None:
        raise PreparationError(f"--instance: {instance!r} is not 12 hex digits")


def prepare_all(settings: Settings, instance: str, own: list[str] | tuple[()]) -> None:
    """Make the directories of our processes, and those that are named for others.

    Raises `PreparationError`, `OSError`.
    """
    require_root()
    named = [_owned(text) for text in own]
    found = prepare_data_directory(settings, wanted=instance)
    if found != instance:
        raise PreparationError(
            f"--instance: {settings.data_dir} is that of {found}; give that, or another directory"
        )
    ground = lay_out(settings, instance)
    make_places(settings, ground)
    if ground.audit is not None and settings.audit.ship_file is not None:
        make_shippers_places(settings, ground, ground.audit)
    for path, uid, gid, mode in named:
        path.mkdir(parents=True, exist_ok=True)
        os.chown(path, uid, gid, follow_symlinks=False)
        path.chmod(mode)


def _owned(text: str) -> tuple[Path, int, int, int]:
    found = _OWNED.fullmatch(text)
    if found is None:
        raise PreparationError(f"--own: {text!r} is not like /srv/redis=8426:8420:2750")
    return Path(found["path"]), int(found["uid"]), int(found["gid"]), int(found["mode"], 8)


def _guard(settings: Settings, ground: Ground) -> ProcessSpec:
    rules = guard_rules(
        settings,
        instances=[ground.instance],
        images={image_reference(settings): trusted_image(settings)},
        runtimes=settings.container.allowed_runtimes,
    )
    show_boxes(ground.tree, stage=ground.guard_dir / VIEW_STAGE)
    return guard_process(settings, ground, rules)


def _proxy(settings: Settings, ground: Ground) -> ProcessSpec:
    tracing = tracing_launch(settings.tracing, instance=ground.instance)
    return proxy_process(settings, ground, None, file=settings.proxy.file, tracing=tracing)


def _server(settings: Settings, ground: Ground) -> ProcessSpec:
    require_read_only_cgroups()
    return server_process(
        settings,
        replace(ground, lock=take_lock(settings.data_dir / LOCK_FILE)),
        image_reference(settings),  # the guard has its id, and saw its signature
        kernel_log=open_kernel_log(),
        keep_containers=True,
        apparmor=read_apparmor(),
        tracing=tracing_launch(settings.tracing, instance=ground.instance),
    )


def require_read_only_cgroups() -> None:
    """Raise `PreparationError` if control groups are mounted anywhere that can be written.

    The server may override file modes; with the host's control groups to write, it could move and
    freeze what is not its own.
    """
    for point in mount_points():
        if point.kind in CGROUPS and not point.flags & MS_RDONLY:
            raise PreparationError(
                f"{point.path} can be written; the server may only see control groups read-only "
                "(deployment/compose/cgroup-v1.yml or cgroup-v2.yml, as the host has them)"
            )


def _kept(audit: AuditGround | None) -> AuditGround:
    if audit is None:
        raise PreparationError("HAKOIRI_AUDIT__ENABLED: no audit log is kept; leave this one out")
    return audit


def _keeper(settings: Settings, ground: Ground) -> ProcessSpec:
    return keeper_process(settings, ground, _kept(ground.audit))


def _reader(settings: Settings, ground: Ground) -> ProcessSpec:
    return reader_process(settings, ground, _kept(ground.audit))


def _shipper(settings: Settings, ground: Ground) -> ProcessSpec:
    audit, path = _kept(ground.audit), settings.audit.ship_file
    if path is None:
        raise PreparationError(
            f"{SHIP_FILE_SETTING}: it names no file, so the log is copied nowhere; "
            "leave this one out"
        )
    return shipper_spec(
        settings,
        ground,
        audit,
        # nobody but the container's root could have given this user a file of its own
        targets=read_ship_file(path, owner_uid=os.geteuid()),
        shipper=account(settings.users.audit_shipper),
    )


SPECS: Final[Mapping[Process, Callable[[Settings, Ground], ProcessSpec]]] = {
    Process.KEEPER: _keeper,
    Process.READER: _reader,
    Process.SHIPPER: _shipper,
    Process.GUARD: _guard,
    Process.PROXY: _proxy,
    Process.SERVER: _server,
}
"""How each is started; may raise what `service` tells."""
