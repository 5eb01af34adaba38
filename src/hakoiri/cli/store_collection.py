"""`hakoiri files collect`: lets go what nothing in the object store needs any more."""

from typing import Annotated, Any

import typer

from hakoiri.cli.client_options import (
    DEFAULT_URL,
    Json,
    Key,
    Output,
    Url,
    client,
    wants_json,
)
from hakoiri.cli.screen import remark, say, show_json
from hakoiri.cli.waiting import waiting

TIMEOUT_S = 3600.0
"""A large store is looked through for long, and the server says nothing meanwhile."""

_LINES = (
    ("live", "needed by a live recovery point"),
    ("young", "not needed, and written too lately to be judged"),
    ("waiting", "not needed, and noted to go"),
    ("archived", "in the archive"),
    ("left", "went into the archive now"),
    ("deleted", "deleted from the archive now"),
    ("foreign", "not this program's; left alone"),
)


def collect(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would go.")] = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
    output: Output = "text",
    as_json: Json = False,
) -> None:
    """Look through the whole object store now, for who runs the server.

    What no live recovery point names goes into the archive once that was so for long enough.

    Example: hakoiri files collect --dry-run -o json
    """
    with client(url, key, timeout_s=TIMEOUT_S) as api, waiting("looking through the store"):
        told: dict[str, Any] = api.call("POST", "/v1/collection", {"dry_run": dry_run})
    if wants_json(output, as_json):
        show_json(told)
    else:
        for name, meaning in _LINES:
            amount = told[name]
            say(f"{amount['size_bytes']:>16}  {amount['objects']:>9}  {meaning}")
        say(f"{told['wasted_bytes']:>16}  {'':>9}  of the needed, dead at most")
        if told["expired_points"]:
            say(f"{'':>16}  {told['expired_points']:>9}  recovery points left their lists")
        if told["missing"]:
            remark(f"needed and not there: {told['missing']} objects")
        for failure in told["failures"]:
            remark(f"left alone: {failure}")
    if told["failures"] or told["missing"]:
        raise typer.Exit(1)
