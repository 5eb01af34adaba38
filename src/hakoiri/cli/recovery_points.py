"""`hakoiri workspace`: its recovery points, and what is done with them."""

import difflib
from contextlib import closing
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from urllib.parse import quote, urlencode

import typer

from hakoiri.cli.api_client import ApiClient, ApiError
from hakoiri.cli.client_options import (
    DEFAULT_URL,
    Json,
    Key,
    Output,
    Url,
    client,
    show_done,
    wants_json,
)
from hakoiri.cli.screen import remark, say, show_json
from hakoiri.cli.sizes import shown_size
from hakoiri.cli.waiting import waiting
from hakoiri.cli.workspace_path import path_of_workspace

TEXT_LIMIT_BYTES: Final = 1024 * 1024
"""Larger files are not compared line by line."""

RESTORE_PATIENCE_S: Final = 660
"""What the box holds is saved first, for which the server has ten minutes."""

Id = Annotated[str, typer.Argument(help="The workspace's id, or a conversation's.")]
Point = Annotated[str, typer.Argument(metavar="POINT", help="A recovery point, `rp-…`.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the noun `workspace`."""
    app.command("recovery-points")(recovery_points)
    app.command()(save)
    app.command()(restore)
    app.command()(diff)
    app.command()(fork)
    app.command()(keep)
    app.command()(unkeep)
    app.command()(drop)


def recovery_points(
    workspace: Id,
    *,
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many to show.")] = 50,
    before: Annotated[str | None, typer.Option(help="Go on from this point.")] = None,
    url: Url = DEFAULT_URL,
    key: Key = None,
    output: Output = "text",
    as_json: Json = False,
) -> None:
    """List a workspace's recovery points, newest first. `*` is the newest, `k` is kept.

    Examples:
      hakoiri workspace recovery-points c-123

      hakoiri workspace recovery-points w-123 -o json
    """
    asked = {"limit": str(limit)} | ({"before": before} if before else {})
    with client(url, key) as api:
        listed = api.call("GET", f"{_points(workspace)}?{urlencode(asked)}")
    if wants_json(output, as_json):
        show_json(listed)
        return
    for one in listed["recovery_points"]:
        say(_line(one))
    if listed["next"]:
        remark(f"more with --before {listed['next']}")


def save(
    workspace: Id,
    *,
    url: Url = DEFAULT_URL,
    key: Key = None,
    output: Output = "text",
    as_json: Json = False,
) -> None:
    """Make a recovery point now, and print its id; the newest if nothing has changed.

    Example: hakoiri workspace keep w-123 "$(hakoiri workspace save w-123)"
    """
    with client(url, key, timeout_s=RESTORE_PATIENCE_S) as api, waiting("saving"):
        made = api.call("POST", _points(workspace))
    _show(made, made["id"], as_json=wants_json(output, as_json))


def restore(
    workspace: Id,
    point: Point,
    *,
    url: Url = DEFAULT_URL,
    key: Key = None,
    output: Output = "text",
    as_json: Json = False,
) -> None:
    """Put files and the agent's memory back to a recovery point, and say how to undo it.

    What is there now is saved first. The box is given up with all that runs in it; refused while
    a turn or a command runs.

    Example: hakoiri workspace restore c-123 rp-0123456789abcdef0123456789abcdef
    """
    with client(url, key, timeout_s=RESTORE_PATIENCE_S) as api, waiting("restoring"):
        told = api.call("POST", f"{_points(workspace)}/{quote(point, safe='')}/restore")
    as_data = wants_json(output, as_json)
    undo = f"hakoiri workspace restore {workspace} {told['undo']}"
    _show(told, f"restored; undo with: {undo}", as_json=as_data)
    if told["left_out"] and not as_data:
        remark("not in what undoes it:")
        for line in told["left_out"]:
            remark(f"  {line}")


def diff(
    workspace: Id,
    point: Point,
    to: Annotated[
        str | None, typer.Argument(metavar="TO", help="Compare with this; default the newest.")
    ] = None,
    *,
    path: Annotated[
        str | None, typer.Option(help="Show the lines of this file that differ.")
    ] = None,
    url: Url = DEFAULT_URL,
    key: Key = None,
    output: Output = "text",
    as_json: Json = False,
) -> None:
    """Tell what differs from one recovery point to another: A added, D gone, M changed.

    Also P for permissions alone, T for a path that became a directory, a link or a file.

    Examples:
      hakoiri workspace diff c-123 rp-01…           # up to the newest

      hakoiri workspace diff c-123 rp-01… rp-02… --path src/main.py
    """
    with client(url, key) as api:
        if path is not None:
            points = (point, to or _newest(api, workspace))
            lines = _diff_lines(api, workspace, points, path)
            if wants_json(output, as_json):
                show_json({"from": points[0], "to": points[1], "path": path, "lines": lines})
            else:
                for line in lines:
                    say(line)
            return
        told = _whole_diff(api, workspace, point, to)
    if wants_json(output, as_json):
        show_json(told)
        return
    for change in told["changes"]:
        say(f"{_MARKS[change['change']]}  {change['path']}")
    memory = "; the agent's memory differs" if told["memory_changed"] else ""
    remark(f"{told['added']} added, {told['changed']} changed, {told['removed']} gone{memory}")


def fork(
    workspace: Id,
    point: Annotated[
        str | None, typer.Argument(metavar="POINT", help="Fork from this; default the newest.")
    ] = None,
    *,
    url: Url = DEFAULT_URL,
    key: Key = None,
    output: Output = "text",
    as_json: Json = False,
) -> None:
    """Make a workspace, or of a conversation a conversation, of a recovery point; print its id.

    Both go on by themselves. No file is copied.

    Examples:
      hakoiri workspace fork w-123                  # a workspace, as it is now

      hakoiri workspace fork c-123 rp-01…           # a conversation, as it was then
    """
    with client(url, key) as api:
        made = api.call("POST", f"{path_of_workspace(workspace)}/fork", {"recovery_point": point})
    text = made["conversation_id"] or made["workspace_id"]
    _show(made, text, as_json=wants_json(output, as_json))


def keep(
    workspace: Id,
    point: Point,
    *,
    url: Url = DEFAULT_URL,
    key: Key = None,
    output: Output = "text",
    as_json: Json = False,
) -> None:
    """Keep a recovery point for good; others go when there are many, or with age.

    Example: hakoiri workspace keep w-123 rp-0123456789abcdef0123456789abcdef
    """
    with client(url, key) as api:
        told = _set_kept(api, workspace, point, kept=True)
    show_done(told, output, as_json)


def unkeep(
    workspace: Id,
    point: Point,
    *,
    url: Url = DEFAULT_URL,
    key: Key = None,
    output: Output = "text",
    as_json: Json = False,
) -> None:
    """Let a recovery point go with the others of its age.

    Example: hakoiri workspace unkeep w-123 rp-0123456789abcdef0123456789abcdef
    """
    with client(url, key) as api:
        told = _set_kept(api, workspace, point, kept=False)
    show_done(told, output, as_json)


def drop(
    workspace: Id,
    point: Point,
    *,
    url: Url = DEFAULT_URL,
    key: Key = None,
    output: Output = "text",
    as_json: Json = False,
) -> None:
    """Take a recovery point from the list; the newest cannot go.

    Example: hakoiri workspace drop w-123 rp-0123456789abcdef0123456789abcdef
    """
    with client(url, key) as api:
        told = api.call("DELETE", f"{_points(workspace)}/{quote(point, safe='')}")
    show_done(told, output, as_json)


_MARKS: Final = {"added": "A", "removed": "D", "content": "M", "mode": "P", "kind": "T"}


def _points(workspace: str) -> str:
    return f"{path_of_workspace(workspace)}/recovery-points"


def _newest(api: ApiClient, workspace: str) -> str:
    listed = api.call("GET", f"{_points(workspace)}?limit=1")["recovery_points"]
    if not listed:
        raise ApiError("the workspace has no recovery point yet")
    return str(listed[0]["id"])


def _set_kept(api: ApiClient, workspace: str, point: str, *, kept: bool) -> Any:
    return api.call("PATCH", f"{_points(workspace)}/{quote(point, safe='')}", {"kept": kept})


def _whole_diff(api: ApiClient, workspace: str, point: str, to: str | None) -> dict[str, Any]:
    """Return the difference with all its pages."""
    # What is newest may change between two pages.
    asked = {"to": to or _newest(api, workspace)}
    place = f"{_points(workspace)}/{quote(point, safe='')}/diff"
    told: dict[str, Any] = api.call("GET", f"{place}?{urlencode(asked)}")
    page = told
    while page["next"] is not None:
        page = api.call("GET", f"{place}?{urlencode(asked | {'after': page['next']})}")
        told["changes"] += page["changes"]
    return told | {"next": None}


def _diff_lines(api: ApiClient, workspace: str, points: tuple[str, str], path: str) -> list[str]:
    before, after = [_lines(api, workspace, point, path) for point in points]
    old, new = [f"{point}/{path}" for point in points]
    return list(difflib.unified_diff(before, after, old, new, lineterm=""))


def _lines(api: ApiClient, workspace: str, point: str, path: str) -> list[str]:
    """Return a file's lines in a point, none if it is not there."""
    place = f"{_points(workspace)}/{quote(point, safe='')}/files/{quote(path)}"
    try:
        _, chunks = api.chunks(place)
    except ApiError as error:
        if error.problem is not None and error.problem.code == "no-such-file":
            return []
        raise
    content = bytearray()
    with closing(chunks):
        for chunk in chunks:
            content += chunk
            if len(content) > TEXT_LIMIT_BYTES:
                raise ApiError(f"{path} has over {TEXT_LIMIT_BYTES} bytes; download both instead")
    try:
        return content.decode().split("\n")
    except UnicodeDecodeError:
        raise ApiError(f"{path} is not text; download both instead") from None


def _line(point: dict[str, Any]) -> str:
    marks = ("*" if point["newest"] else " ") + ("k" if point["kept"] else " ")
    made = datetime.fromisoformat(point["created_at"]).astimezone(UTC)
    files = "?" if point["files"] is None else str(point["files"])
    size = "?" if point["file_bytes"] is None else shown_size(point["file_bytes"])
    return (
        f"{marks} {point['id']}  {made:%Y-%m-%d %H:%M:%SZ}  turn {point['turn']:<4} "
        f"{files:>7} files {size:>9}  {point['reason']}"
    )


def _show(told: dict[str, Any], text: str, *, as_json: bool) -> None:
    if as_json:
        show_json(told)
    else:
        say(text)
