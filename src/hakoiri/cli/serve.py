"""`hakoiri serve`: the supervisor and its processes."""

import asyncio
import shutil
import signal
from typing import Annotated

import typer

from hakoiri.audit.verification import PUBLIC_KEY_NAME
from hakoiri.cli.doctor.apparmor_facts import read_apparmor
from hakoiri.cli.pinned_image import EngineSilentError, trusted_image
from hakoiri.cli.production_gate import require_production
from hakoiri.cli.screen import complain, remark
from hakoiri.cli.supervisor.audit_processes import keeper_process, reader_process
from hakoiri.cli.supervisor.audit_shipping import shipper_process
from hakoiri.cli.supervisor.guard_rules import guard_rules
from hakoiri.cli.supervisor.notification import READY, STOPPING, notify
from hakoiri.cli.supervisor.preparation import (
    Ground,
    PreparationError,
    clear,
    code_directories,
    has_boxes,
    open_kernel_log,
    prepare,
    require_root,
)
from hakoiri.cli.supervisor.processes import (
    CONTROL_SOCKET,
    GUARD_SOCKET,
    PROXY_NAME,
    READER_SOCKET,
    SHIP_STATUS,
    guard_process,
    proxy_process,
    rehearsal_process,
    server_process,
)
from hakoiri.cli.supervisor.proxy_file import proxy_file, write_proxy_file
from hakoiri.cli.supervisor.rehearsal import Rehearsal, new_rehearsal
from hakoiri.cli.supervisor.supervisor import (
    Supervised,
    Supervisor,
    file_is_there,
    tcp_port_answers,
    unix_socket_answers,
)
from hakoiri.cli.supervisor.trace_launch import tracing_launch
from hakoiri.cli.workspace_image import image_reference
from hakoiri.host import settings as host_settings
from hakoiri.host.containers.box import BoxError
from hakoiri.host.settings import Settings, SettingsError
from hakoiri.image.errors import ImageBuildError

USAGE_EXIT_CODE = 2


def serve(
    *,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    keep_containers: Annotated[
        bool, typer.Option("--keep-containers", help="Leave containers for the next start.")
    ] = False,
    production: Annotated[
        bool, typer.Option("--production", help="Refuse to start while a layer is missing.")
    ] = False,
) -> None:
    """Run the server: API, orchestrator, credential proxy and docker guard.

    Needs root, a container engine and the workspace image. Settings come from hakoiri.toml and
    HAKOIRI_* variables. SIGTERM saves all files and removes all containers; with --keep-containers,
    or by SIGUSR1 in its place, they and their turns stay, and the next start adopts them. SIGHUP
    puts a changed file of the proxy (HAKOIRI_PROXY__FILE) in force.

    Examples:
      HAKOIRI_MODEL__PROVIDER=rehearsal hakoiri serve      # no model, no credentials needed

      HAKOIRI_MODEL__REGION=eu-west-1 hakoiri serve        # Bedrock; keys in /etc/hakoiri/proxy.env

      hakoiri serve --port 9000

      hakoiri serve --production                           # `hakoiri doctor --production` tells all
    """
    try:
        require_root()
        settings = host_settings.load(host=host, port=port)
        if production:
            require_production(settings, command="serve")
        exit_code = _serve(settings, keep_containers=keep_containers)
    except EngineSilentError as error:
        complain("serve", error)
        raise typer.Exit(1) from None
    except (SettingsError, PreparationError, BoxError, ImageBuildError) as error:
        complain("serve", error)
        raise typer.Exit(USAGE_EXIT_CODE) from None
    raise typer.Exit(exit_code)


def _serve(settings: Settings, *, keep_containers: bool) -> int:
    """Prepare the ground, keep the processes up until the end, clear the ground again."""
    shown = code_directories()
    ground = prepare(settings)
    try:
        rehearsal = _rehearsal(settings)
        supervised = _processes(settings, ground, rehearsal, keep_containers=keep_containers)
        if settings.model.provider == "rehearsal":
            remark(
                "REHEARSAL: no model is called; answers come from a script. "
                "Set HAKOIRI_MODEL__PROVIDER to bedrock or anthropic for a real one."
            )
        supervisor = Supervisor(
            shown=shown,
            on_ready=lambda: _announce(settings),
            on_hang_up=lambda: _reload_proxy(settings, ground, rehearsal, supervised),
            on_stop=lambda: notify(STOPPING),
        )
        return asyncio.run(supervisor.run(supervised))
    finally:
        if not keep_containers and not has_boxes(ground):
            clear(ground)
            if settings.run_dir is None:
                shutil.rmtree(ground.run_dir, ignore_errors=True)


def _rehearsal(settings: Settings) -> Rehearsal | None:
    if settings.model.provider != "rehearsal":
        return None
    return new_rehearsal(settings.model.rehearsal_port)


def _reload_proxy(
    settings: Settings,
    ground: Ground,
    rehearsal: Rehearsal | None,
    supervised: list[Supervised],
) -> None:
    """Give the proxy its file as it is now; one that it would refuse changes nothing."""
    try:
        write_proxy_file(proxy_file(settings, rehearsal), ground=ground)
    except PreparationError as error:
        complain("serve", f"the old proxy file stays: {error}")
        return
    for one in supervised:
        is_proxy = one.spec.name == PROXY_NAME
        if is_proxy and one.process is not None and one.process.returncode is None:
            one.process.send_signal(signal.SIGHUP)


def _processes(
    settings: Settings, ground: Ground, rehearsal: Rehearsal | None, *, keep_containers: bool
) -> list[Supervised]:
    """Return the processes in the order in which they start."""
    tracing = tracing_launch(settings.tracing, instance=ground.instance)
    processes: list[Supervised] = []
    if rehearsal is not None:
        spec = rehearsal_process(settings, rehearsal)
        processes.append(Supervised(spec, tcp_port_answers("127.0.0.1", rehearsal.port)))
    if ground.audit is not None:
        keeper = keeper_process(settings, ground, ground.audit)
        processes.append(Supervised(keeper, file_is_there(ground.audit.keeper / PUBLIC_KEY_NAME)))
        reader = reader_process(settings, ground, ground.audit)
        asked = unix_socket_answers(ground.audit_dir / READER_SOCKET)
        processes.append(Supervised(reader, asked))
        shipper = shipper_process(settings, ground, ground.audit)
        if shipper is not None:
            told = file_is_there(ground.run_dir / SHIP_STATUS)
            processes.append(Supervised(shipper, told))
    image = image_reference(settings)
    rules = guard_rules(
        settings,
        instances=[ground.instance],
        images={image: trusted_image(settings)},
        runtimes=settings.container.allowed_runtimes,
    )
    guard = guard_process(settings, ground, rules)
    processes.append(Supervised(guard, unix_socket_answers(ground.guard_dir / GUARD_SOCKET)))
    write_proxy_file(proxy_file(settings, rehearsal), ground=ground)
    control = ground.proxy_dir / CONTROL_SOCKET
    proxy = proxy_process(settings, ground, rehearsal, tracing=tracing)
    processes.append(Supervised(proxy, unix_socket_answers(control)))
    server = server_process(
        settings,
        ground,
        image,
        kernel_log=open_kernel_log(),
        keep_containers=keep_containers,
        apparmor=read_apparmor(),
        tracing=tracing,
    )
    processes.append(Supervised(server, tcp_port_answers(settings.host, settings.port)))
    return processes


def _announce(settings: Settings) -> None:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    remark(f"Hakoiri serves http://{host}:{settings.port}")
    notify(READY)
