"""`hakoiri audit ship`: how far the copies of the audit log got."""

import time
from pathlib import Path
from typing import Annotated, Final

import typer

from hakoiri.audit.shipping.status import ShipStatus, TargetStatus
from hakoiri.audit.told_file import read_told
from hakoiri.cli.client_options import Json, Output, wants_json
from hakoiri.cli.noun import noun
from hakoiri.cli.plain_text import plain
from hakoiri.cli.screen import complain, say, show_json
from hakoiri.cli.supervisor.preparation import (
    INSTANCE_FILE,
    RUN_ROOT,
    PreparationError,
    instance_id,
    require_root,
)
from hakoiri.cli.supervisor.processes import SHIP_STATUS
from hakoiri.host import settings as host_settings
from hakoiri.host.settings import SettingsError

app = noun("The copies of the audit log elsewhere.")

USAGE_EXIT_CODE: Final = 2
STALE_S: Final = 30.0
"""The shipper tells its state every 2 s."""


@app.command()
def status(
    *,
    status_file: Annotated[
        Path | None, typer.Option("--file", help="What the shipper told; absent: the instance's.")
    ] = None,
    output: Output = "text",
    as_json: Json = False,
) -> None:
    """Show how far each copy of the audit log got; exit 1 if one fails or nothing is told.

    Examples:
      hakoiri audit ship status

      hakoiri audit ship status --json
    """
    try:
        told = read_told(status_file or _status_file(), ShipStatus)
    except (SettingsError, PreparationError) as error:
        complain("audit ship", error)
        raise typer.Exit(USAGE_EXIT_CODE) from None
    if told is None:
        complain(
            "audit ship",
            "no shipper has told anything; is HAKOIRI_AUDIT__SHIP_FILE set, "
            "and `hakoiri serve` running?",
        )
        raise typer.Exit(1)
    age_s = time.time() - told.told_at
    is_well = age_s < STALE_S and all(one.error is None for one in told.targets)
    if wants_json(output, as_json):
        show_json({"told_seconds_ago": round(age_s, 1), **told.model_dump(mode="json")})
    else:
        _show(told, age_s)
    if not is_well:
        raise typer.Exit(1)


def _show(told: ShipStatus, age_s: float) -> None:
    if age_s >= STALE_S:
        say(f"the shipper told this {age_s:.0f} s ago; it does not run")
    for target in told.targets:
        say(plain(_line(target)))
        for name, chain in target.chains.items():
            missed = f", {chain.missed_lines} lines missed" if chain.missed_lines else ""
            waiting = f"{chain.waiting_bytes} bytes wait{missed}"
            say(plain(f"  {name}: up to line {chain.sequence}; {waiting}"))


def _line(target: TargetStatus) -> str:
    state = f"FAILING: {target.error}" if target.error else "well"
    return f"{target.name} ({target.kind}): {state}; {target.waiting_bytes} bytes wait"


def _status_file() -> Path:
    require_root()
    settings = host_settings.load()
    instance = settings.data_dir / INSTANCE_FILE
    if not instance.is_file():
        raise PreparationError(f"{settings.data_dir} has no instance yet; start `hakoiri serve`")
    run_dir = settings.run_dir or RUN_ROOT / instance_id(instance)
    return run_dir / SHIP_STATUS
