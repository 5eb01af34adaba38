"""The command: findings as lines or as data."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from rich.text import Text

from hakoiri.cli.client_options import Json, Output, wants_json
from hakoiri.cli.doctor.examination import examine
from hakoiri.cli.doctor.finding import Finding, State, is_fit
from hakoiri.cli.live_screen import screen
from hakoiri.cli.screen import complain, say
from hakoiri.cli.waiting import waiting
from hakoiri.cli.workspace_image import workspace_image
from hakoiri.host import settings as host_settings
from hakoiri.host.settings import Settings
from hakoiri.image.errors import ImageBuildError
from hakoiri.wire.guard import IMAGE_REPOSITORY

USAGE_EXIT_CODE = 2

STYLES = {
    State.OK: "green",
    State.WARNING: "yellow",
    State.OPEN: "cyan",
    State.MISSING: "bold red",
}


def doctor(
    *,
    output: Output = "text",
    as_json: Json = False,
    production: Annotated[
        bool,
        typer.Option("--production", help="Also go through the checklist for production."),
    ] = False,
) -> None:
    """Say what this host has and lacks, one line each, with the mend.

    Exit code 0 if all that is needed is there (warnings do not count), 1 if something is missing,
    2 if the settings cannot be read. What is `open` cannot be told from this host.

    Examples:
      hakoiri doctor

      hakoiri doctor --json | jq '.findings[] | select(.state == "missing")'

      HAKOIRI_CONTAINER__RUNTIME=runsc hakoiri doctor      # judged for this runtime

      hakoiri doctor --production                          # docs/operations/production-checklist.md
    """
    try:
        settings = host_settings.load()
    except host_settings.SettingsError as error:
        complain("doctor", error)
        raise typer.Exit(USAGE_EXIT_CODE) from None
    with waiting("looking at this host"):
        findings = examine(settings, image_reference=image_reference)
        if production:
            findings += _examine_production(settings)
    if wants_json(output, as_json):
        say(as_data(findings))
    else:
        console = screen()
        for line in as_lines(findings):
            console.print(line, soft_wrap=True)
    raise typer.Exit(0 if is_fit(findings) else 1)


def _examine_production(settings: Settings) -> list[Finding]:
    # The database and the stores' clients take long to import, and no other question needs them.
    from hakoiri.cli.doctor.checklist_facts import examine_checklist  # noqa: PLC0415
    from hakoiri.cli.doctor.production_facts import examine_production  # noqa: PLC0415

    return [
        *examine_production(settings),
        *examine_checklist(settings, image_reference=image_reference),
    ]


def image_reference() -> str:
    """Return which image to look for: this version's own; any build where there are no sources."""
    try:
        return workspace_image()
    except ImageBuildError:
        return IMAGE_REPOSITORY


def as_data(findings: Sequence[Finding]) -> str:
    """Return the findings as one JSON object."""
    return json.dumps(
        {"ok": is_fit(findings), "findings": [asdict(finding) for finding in findings]}, indent=2
    )


def as_lines(findings: Sequence[Finding]) -> list[Text]:
    """Return one line for each finding and one for the whole."""
    width = max((len(finding.name) for finding in findings), default=0)
    lines = []
    for finding in findings:
        line = Text(f"{finding.state:<8} ", style=STYLES[finding.state])
        line.append(f"{finding.name:<{width}}  {finding.text}", style="default")
        if finding.mend:
            line.append(f"; mend: {finding.mend}", style="default")
        lines.append(line)
    lines.append(Text(_conclusion(findings)))
    return lines


def _conclusion(findings: Sequence[Finding]) -> str:
    missing = [finding.name for finding in findings if finding.state is State.MISSING]
    if missing:
        return f"Not ready: {', '.join(missing)}."
    return "Ready."
