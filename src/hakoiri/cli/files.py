"""`hakoiri files`: a workspace's files, from outside of its box."""

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO
from urllib.parse import quote

import typer

from hakoiri.cli.api_client import ApiError
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
from hakoiri.cli.git_import import Repository, clone
from hakoiri.cli.live_screen import Bar, bytes_bar
from hakoiri.cli.noun import noun
from hakoiri.cli.screen import complain, remark, say, show_json
from hakoiri.cli.store_collection import collect
from hakoiri.cli.workspace_path import path_of_workspace

app = noun("List, read, write and remove a workspace's files.")
app.command()(collect)

Id = Annotated[str, typer.Argument(help="The workspace's id, or a conversation's.")]
Inside = Annotated[str, typer.Argument(help="The path as `list` shows it.")]


@app.command("list")
def list_(
    workspace: Id,
    *,
    url: Url = DEFAULT_URL,
    key: Key = None,
    output: Output = "text",
    as_json: Json = False,
) -> None:
    """List all files of a workspace, as the last turn or command left them.

    Example: hakoiri files list w-123
    """
    with client(url, key) as api:
        listed: dict[str, Any] = api.call("GET", f"{path_of_workspace(workspace)}/files")
    if wants_json(output, as_json):
        show_json(listed)
        return
    for one in listed["files"]:
        mark = {"directory": "/", "symlink": "@"}.get(one["kind"], "")
        say(f"{one['size_bytes']:>12}  {one['path']}{mark}")


@app.command()
def get(
    workspace: Id,
    path: Inside,
    local: Annotated[Path | None, typer.Argument(help="Where to; - is standard output.")] = None,
    *,
    url: Url = DEFAULT_URL,
    key: Key = None,
    output: Output = "text",
    as_json: Json = False,
) -> None:
    """Download a file under its own name, or to where it is told.

    Examples:
      hakoiri files get w-123 report.pdf

      hakoiri files get c-123 src/main.py -
    """
    target = local or Path(path.rpartition("/")[2])
    with client(url, key) as api:
        size, chunks = api.chunks(_path(workspace, path))
        with _target(target) as out, bytes_bar(path, total=size) as move:
            for chunk in chunks:
                out.write(chunk)
                move(advance=len(chunk))
    _show_written(target, size, output, as_json)


@app.command()
def download(
    workspace: Id,
    folder: Annotated[
        str, typer.Argument(help="A folder as `list` shows it; by default all.")
    ] = "",
    local: Annotated[Path | None, typer.Argument(help="Where to; - is standard output.")] = None,
    *,
    as_zip: Annotated[bool, typer.Option("--zip", help="In one zip file.")] = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
    output: Output = "text",
    as_json: Json = False,
) -> None:
    """Download a folder with all in it but symlinks, under its own name or to where it is told.

    Examples:
      hakoiri files download --zip w-123 src

      hakoiri files download --zip w-123 "" all.zip
    """
    if not as_zip:
        complain("files download", "say --zip, the one form there is")
        raise typer.Exit(2)
    target = local or Path(f"{folder.rstrip('/').rpartition('/')[2] or workspace}.zip")
    place = (
        _path(workspace, folder.rstrip("/")) if folder else f"{path_of_workspace(workspace)}/files"
    )
    told: dict[str, str] = {}
    with client(url, key, timeout_s=120) as api:
        size, chunks = api.chunks(f"{place}?archive=zip", told=told)
        with _target(target) as out, bytes_bar(str(target), total=size) as move:
            for chunk in chunks:
                out.write(chunk)
                move(advance=len(chunk))
    if (left_out := told.get("Hakoiri-Left-Out", "0")) != "0":
        remark(f"{left_out} symlinks were left out")
    _show_written(target, size, output, as_json)


@app.command()
def put(
    workspace: Id,
    local: Annotated[Path, typer.Argument(help="The file to send; - is standard input.")],
    path: Annotated[str | None, typer.Argument(help="Where to; by default its own name.")] = None,
    *,
    url: Url = DEFAULT_URL,
    key: Key = None,
    output: Output = "text",
    as_json: Json = False,
) -> None:
    """Write a file into a workspace, with the directories on its way.

    Examples:
      hakoiri files put w-123 report.csv data/report.csv

      date | hakoiri files put w-123 - now.txt
    """
    if path is None and str(local) == "-":
        complain("files put", "say where standard input is to go")
        raise typer.Exit(2)
    with client(url, key, timeout_s=120) as api:
        try:
            with _source(local) as (file, size), bytes_bar(str(local), total=size) as move:
                told = api.upload(
                    _path(workspace, path or local.name.replace("%", "%25")),
                    _told(file, move),
                    size=size,
                )
        except OSError as error:
            raise ApiError(f"{local}: {error.strerror}") from error
    show_done(told, output, as_json)


@app.command("import")
def import_(
    workspace: Id,
    archive: Annotated[
        Path | None, typer.Argument(help="A zip or tar (plain, gzip, zstd); - is input.")
    ] = None,
    folder: Annotated[str, typer.Argument(help="Into which folder; by default the topmost.")] = "",
    *,
    git: Annotated[str | None, typer.Option(help="Clone this URL in the workspace's box.")] = None,
    ref: Annotated[str | None, typer.Option(help="Of it: a branch, a tag or a commit.")] = None,
    depth: Annotated[int | None, typer.Option(help="Of it: so many commits.")] = None,
    to: Annotated[
        str | None, typer.Option(help="Of it: the new directory; by default its own name.")
    ] = None,
    url: Url = DEFAULT_URL,
    key: Key = None,
    output: Output = "text",
    as_json: Json = False,
) -> None:
    """Unpack an archive into a folder of a workspace, or clone a git repository into it.

    Of an archive, links are left out. A clone goes through the workspace's policy.

    Examples:
      hakoiri files import w-123 project.tar.gz src

      hakoiri files import w-123 --git https://git.example.com/acme/site.git --ref v2 --to site
    """
    if git is not None:
        _refuse_both(archive)
        repository = Repository(url=git, ref=ref, depth=depth, path=to)
        with client(url, key, timeout_s=600) as api:
            is_json = wants_json(output, as_json)
            code = clone(api, path_of_workspace(workspace), repository, as_json=is_json)
        raise typer.Exit(code)
    if archive is None or any(one is not None for one in (ref, depth, to)):
        complain("files import", "name an archive, or a repository with --git")
        raise typer.Exit(2)
    inside = folder.strip("/")
    place = _path(workspace, inside) if inside else f"{path_of_workspace(workspace)}/files"
    with client(url, key, timeout_s=600) as api:
        try:
            with _source(archive) as (file, size), bytes_bar(str(archive), total=size) as move:
                told = api.upload(f"{place}?archive=unpack", _told(file, move), size=size)
        except OSError as error:
            raise ApiError(f"{archive}: {error.strerror}") from error
    if wants_json(output, as_json):
        show_json(told)
        return
    say(f"{told['files']} files, {told['file_bytes']} bytes")
    for line in told["left_out_names"]:
        remark(f"left out: {line}")
    if (more := told["left_out"] - len(told["left_out_names"])) > 0:
        remark(f"left out: {more} more")


@app.command()
def rm(
    workspace: Id,
    path: Inside,
    *,
    url: Url = DEFAULT_URL,
    key: Key = None,
    output: Output = "text",
    as_json: Json = False,
) -> None:
    """Remove a file, or a directory with all in it.

    Example: hakoiri files rm w-123 build
    """
    with client(url, key) as api:
        told = api.call("DELETE", _path(workspace, path))
    show_done(told, output, as_json)


def _show_written(target: Path, size: int | None, output: str, as_json: bool) -> None:  # noqa: FBT001
    if str(target) != "-":  # else standard output is the file
        show_done({"path": str(target), "size_bytes": size}, output, as_json)


def _refuse_both(archive: Path | None) -> None:
    if archive is not None:
        complain("files import", "an archive or --git, not both; --to says where a clone goes")
        raise typer.Exit(2)


def _path(workspace: str, path: str) -> str:
    return f"{path_of_workspace(workspace)}/files/{quote(path, errors='surrogateescape')}"


def _told(file: BinaryIO, move: Bar) -> Iterator[bytes]:
    while chunk := file.read(65536):
        yield chunk
        move(advance=len(chunk))


@contextmanager
def _source(local: Path) -> Iterator[tuple[BinaryIO, int | None]]:
    if str(local) == "-":
        yield sys.stdin.buffer, None
        return
    with local.open("rb") as file:
        status = os.fstat(file.fileno())
        yield file, status.st_size if stat.S_ISREG(status.st_mode) else None


@contextmanager
def _target(local: Path) -> Iterator[BinaryIO]:
    if str(local) == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        with local.open("wb") as file:
            yield file
    except OSError as error:
        raise ApiError(f"{local}: {error.strerror}") from error
