"""`hakoiri probe`: a box is tried from inside, without a server."""

import asyncio
import json
import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from hakoiri.cli.client_options import Json, Output, wants_json
from hakoiri.cli.demo.server_process import free_port
from hakoiri.cli.pinned_image import trusted_image
from hakoiri.cli.screen import complain, remark, say
from hakoiri.cli.supervisor.guard_rules import guard_rules
from hakoiri.cli.supervisor.preparation import (
    Ground,
    PreparationError,
    clear,
    code_directories,
    prepare,
    require_root,
)
from hakoiri.cli.supervisor.processes import (
    CONTROL_SOCKET,
    GUARD_SOCKET,
    guard_process,
    probe_process,
    proxy_process,
)
from hakoiri.cli.supervisor.proxy_file import write_proxy_file
from hakoiri.cli.supervisor.supervisor import (
    Supervised,
    Supervisor,
    is_ready_at_once,
    unix_socket_answers,
)
from hakoiri.cli.workspace_image import image_reference
from hakoiri.host import settings as host_settings
from hakoiri.host.containers.box import BoxError
from hakoiri.host.settings import Settings, SettingsError
from hakoiri.image.errors import ImageBuildError
from hakoiri.wire.messages import Runtime
from hakoiri.wire.probe import ProbeReport

USAGE_EXIT_CODE = 2
REPORT_LIMIT_BYTES = 1024 * 1024


def probe(
    *,
    runtime: Annotated[
        str | None, typer.Option(help="runc or runsc; absent means the setting's.")
    ] = None,
    thorough: Annotated[
        bool, typer.Option("--thorough", help="Also use up the box's resources (a minute).")
    ] = False,
    output: Output = "text",
    as_json: Json = False,
) -> None:
    """Try from inside a box what must not work there; exit with 1 if anything does.

    The container is made like every other, by a guard and a proxy of the probe's own, serves nobody
    and is removed. No server is needed. Needs root, a container engine and the workspace image.

    Examples:
      hakoiri probe

      hakoiri probe --runtime runsc --thorough --json
    """
    try:
        require_root()
        settings = host_settings.load()
        given = _runtime(runtime or settings.container.runtime)
        report = look(settings, runtime=given, thorough=thorough)
    except (SettingsError, PreparationError, BoxError, ImageBuildError) as error:
        complain("probe", error)
        raise typer.Exit(USAGE_EXIT_CODE) from None
    if report is None:
        raise typer.Exit(1)
    _show(report, runtime=given, as_json=wants_json(output, as_json))
    raise typer.Exit(1 if report.open else 0)


def _runtime(name: str) -> Runtime:
    if name not in ("runc", "runsc"):
        raise SettingsError(f"--runtime {name}: it is runc or runsc")
    return "runc" if name == "runc" else "runsc"


def look(settings: Settings, *, runtime: Runtime, thorough: bool) -> ProbeReport | None:
    """Return what the probe found; None if it could not look, which it has said then.

    Raises `PreparationError`, `BoxError` or `ImageBuildError`.
    """
    shown = code_directories()
    # a directory of this run's own, so that a server that runs is not disturbed
    scratch = Path(tempfile.mkdtemp(prefix="hakoiri-probe-", dir="/var/tmp"))
    try:
        scratch.chmod(0o711)
        ground = prepare(settings := _settings_of_its_own(settings, scratch, runtime))
        try:
            return _run(settings, ground, shown=shown, thorough=thorough)
        finally:
            clear(ground)
            shutil.rmtree(ground.run_dir, ignore_errors=True)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _settings_of_its_own(settings: Settings, scratch: Path, runtime: Runtime) -> Settings:
    """Return the settings with everything that is kept put into `scratch`."""
    return settings.model_copy(
        update={
            "port": free_port(),
            "run_dir": None,
            "data_dir": scratch / "data",
            "database_url": None,
            "object_store_url": None,
            "container": settings.container.model_copy(update={"runtime": runtime}),
            "proxy": settings.proxy.model_copy(
                update={
                    "file": scratch / "proxy" / "proxy.toml",
                    "env_file": scratch / "proxy" / "proxy.env",
                    "state_dir": scratch / "proxy-state",
                }
            ),
        }
    )


def _run(
    settings: Settings, ground: Ground, *, shown: tuple[Path, ...], thorough: bool
) -> ProbeReport | None:
    image = image_reference(settings)
    runtime = settings.container.runtime
    rules = guard_rules(
        settings,
        instances=[ground.instance],
        images={image: trusted_image(settings)},
        runtimes=[runtime],
    )
    write_proxy_file({}, ground=ground)  # no credential: an unbound socket lets nothing out
    proxy = replace(proxy_process(settings, ground, None), has_spare=False)
    report = os.memfd_create("report")
    try:
        errand = probe_process(settings, ground, image, thorough=thorough, report=report)
        supervised = [
            Supervised(
                guard_process(settings, ground, rules),
                unix_socket_answers(ground.guard_dir / GUARD_SOCKET),
            ),
            Supervised(proxy, unix_socket_answers(ground.proxy_dir / CONTROL_SOCKET)),
            Supervised(errand, is_ready_at_once),
        ]
        remark(f"looking at a box under {runtime} (some seconds)")
        supervisor = Supervisor(
            shown=shown, on_ready=lambda: None, stdout=asyncio.subprocess.DEVNULL
        )
        if asyncio.run(supervisor.run(supervised)) != 0:
            return None
        written = os.pread(report, REPORT_LIMIT_BYTES, 0)
    finally:
        os.close(report)
    try:
        return ProbeReport.model_validate_json(written)
    except ValidationError:
        complain("probe", "it ended without a report")
        return None


def _show(report: ProbeReport, *, runtime: Runtime, as_json: bool) -> None:
    if as_json:
        found = [finding.model_dump() for finding in report.findings]
        say(json.dumps({"runtime": runtime, "findings": found}))
        return
    for finding in report.open:
        say(f"OPEN     {finding.name}: {finding.how}")
    refused = len(report.findings) - len(report.open)
    say(f"{runtime}: {refused} attempts refused, {len(report.open)} open")
