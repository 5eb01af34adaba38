"""`hakoiri docker-guard`: the guard before the engine's socket, alone."""

import os
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from hakoiri.cli.listening import require_directory_of
from hakoiri.cli.pinned_image import image_id_of
from hakoiri.cli.screen import complain
from hakoiri.cli.supervisor.guard_rules import disk_rules, guard_rules
from hakoiri.cli.supervisor.preparation import DISKS_SUFFIX
from hakoiri.docker_guard.call_log import CallLog
from hakoiri.docker_guard.process import serve
from hakoiri.docker_guard.rules import GuardLaunch
from hakoiri.host import settings as host_settings
from hakoiri.host.containers.box import BoxError
from hakoiri.host.settings import DEFAULT_DOCKER_HOST, SettingsError
from hakoiri.image.errors import ImageBuildError
from hakoiri.wire.messages import Runtime

_EXIT_USAGE = 2
_UNIX = "unix://"


def docker_guard(
    *,
    listen: Annotated[Path, typer.Option(help="The Unix socket to listen on.")],
    engine: Annotated[
        str, typer.Option(help="The engine, as unix://PATH.", envvar="HAKOIRI_DOCKER_HOST")
    ] = DEFAULT_DOCKER_HOST,
    instance: Annotated[
        list[str] | None,
        typer.Option(help="Whose containers: the label hakoiri.instance. May be given again."),
    ] = None,
    image: Annotated[
        list[str] | None,
        typer.Option(help="An image, as it is now, that may be started. May be given again."),
    ] = None,
    runtime: Annotated[
        list[str] | None, typer.Option(help="runc or runsc; absent means the setting's.")
    ] = None,
    live_dir: Annotated[
        Path | None, typer.Option(help="Where containers' directories are made; root's alone.")
    ] = None,
    proxy_sockets: Annotated[
        Path | None, typer.Option(help="Where the proxy makes a directory for each container.")
    ] = None,
    client_uid: Annotated[
        list[int] | None, typer.Option(help="A user who may call, beside root.")
    ] = None,
) -> None:
    """Serve a narrow, checked part of the engine's API on a socket. Calls are told on stdout.

    Without --instance every call about a container is refused, without --image every start. Limits
    and profiles that a container may not exceed are the settings of `hakoiri serve`
    (HAKOIRI_CONTAINER__*). Needs root, to make and mount containers' directories.

    Examples:
      hakoiri docker-guard --listen /run/box/docker.sock

      hakoiri docker-guard --listen guard.sock --instance a1b2c3d4e5f6 --image hakoiri/workspace:TAG
    """
    try:
        settings = host_settings.load()
        require_directory_of(listen)
        if not engine.startswith(f"{_UNIX}/"):
            raise typer.BadParameter(f"{engine!r} is not like unix:///PATH", param_hint="--engine")
        tree = (live_dir or settings.guard.live_dir / "alone").absolute()
        disks = tree.with_name(tree.name + DISKS_SUFFIX)
        for directory in (tree, disks):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        sockets = proxy_sockets.absolute() if proxy_sockets is not None else None
        launch = GuardLaunch(
            socket=listen.absolute(),
            client_uids=tuple(client_uid or (os.geteuid(),)),
            engine=engine,
            tree=tree,
            disks=disks,
            disk_rules=disk_rules(settings),
            proxy_sockets=sockets,
            proxy_uid=sockets.stat().st_uid if sockets is not None else -1,
            rules=guard_rules(
                settings,
                instances=instance or (),
                images={name: image_id_of(name, docker_host=engine) for name in image or ()},
                runtimes=[
                    _runtime(name) for name in runtime or settings.container.allowed_runtimes
                ],
            ),
        )
        if not instance:
            complain("docker-guard", "no --instance, so no container is ours")
        uvloop.run(serve(launch, log=CallLog()))
    except (SettingsError, BoxError, ImageBuildError, ValueError, OSError) as error:
        complain("docker-guard", error)
        raise typer.Exit(_EXIT_USAGE) from None


def _runtime(name: str) -> Runtime:
    if name == "runc":
        return "runc"
    if name == "runsc":
        return "runsc"
    raise typer.BadParameter(f"{name!r} is neither runc nor runsc", param_hint="--runtime")
