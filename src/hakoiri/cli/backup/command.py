"""`hakoiri backup`: make one, check it, put it back. Works on the files, as root."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Annotated, Final

import typer

from hakoiri.cli.backup.listing import BackupError, Entry, Head, damaged, read_head, read_listing
from hakoiri.cli.backup.making import make_backup
from hakoiri.cli.backup.places import places, settings_files
from hakoiri.cli.backup.postgresql_dump import can_dump
from hakoiri.cli.backup.restoring import restore as put_back
from hakoiri.cli.backup.restoring import restore_settings
from hakoiri.cli.client_options import Json, Output, wants_json
from hakoiri.cli.noun import noun
from hakoiri.cli.screen import complain, say, show_json
from hakoiri.cli.supervisor.preparation import (
    INSTANCE_FILE,
    PreparationError,
    instance_id,
    require_root,
)
from hakoiri.cli.waiting import waiting
from hakoiri.host import settings as host_settings
from hakoiri.host.settings import Settings, SettingsError
from hakoiri.host.telemetry.backup_metrics import tell_backup

app = noun("Save an installation, and put it back.")

USAGE_EXIT_CODE: Final = 2
SHOWN_DAMAGE: Final = 20

Directory = Annotated[Path, typer.Argument(help="The backup's directory.")]


@app.command()
def create(
    directory: Directory,
    *,
    without_database: Annotated[
        bool,
        typer.Option(help="Leave a PostgreSQL database out: it was saved before, by other means."),
    ] = False,
    output: Output = "text",
    as_json: Json = False,
) -> None:
    """Save database, store, audit log, keys and settings into a new directory.

    Beside a running server, or without one. It holds all secrets of the proxy: keep it as safe as
    those. A database of PostgreSQL is saved by its pg_dump, if that is installed. What is not in
    it, as a bucket, is said.

    Example: hakoiri backup create /srv/backup/2026-11-27
    """
    with _told("create"):
        settings = host_settings.load()
        found = places(settings, _instance(settings))
        if found.postgresql is not None and (without_database or not can_dump()):
            found = replace(found, postgresql=None)
        entries = make_backup(
            directory.absolute(),
            found,
            settings=settings_files(settings, os.environ),
            version=version("hakoiri"),
            now=datetime.now(UTC),
        )
    _tell_server(settings)
    away = [
        *(["the database"] if found.database is None and found.postgresql is None else []),
        *(["the object store"] if found.objects is None else []),
    ]
    if wants_json(output, as_json):
        show_json({**_counted(entries), "directory": str(directory), "not_in_it": away})
        return
    say(f"{directory}: {_said(entries)}")
    for name in away:
        say(f"NOT in it: {name}; it needs a backup of its own, made before this one")


@app.command()
def check(directory: Directory, *, output: Output = "text", as_json: Json = False) -> None:
    """Read every file of a backup and compare it to what was written; exit 1 if one differs.

    Example: hakoiri backup check /srv/backup/2026-11-27
    """
    with _told("check"):
        head, entries = _whole(directory)
    if wants_json(output, as_json):
        show_json({**_counted(entries), "instance": head.instance, "made_at": head.made_at})
    else:
        say(f"{directory}, of {head.made_at}: {_said(entries)}, all as they were written")


@app.command()
def restore(
    directory: Directory,
    *,
    settings_alone: Annotated[
        bool,
        typer.Option(
            "--settings", help="Only the files of settings and secrets, those that are missing."
        ),
    ] = False,
    output: Output = "text",
    as_json: Json = False,
) -> None:
    """Put a backup back, on a host that has nothing of its instance; the server must not run.

    The settings come first, as they tell where the rest goes.

    Examples:
      hakoiri backup restore --settings /srv/backup/2026-11-27

      hakoiri backup restore /srv/backup/2026-11-27
    """
    with _told("restore"):
        if settings_alone:
            _, entries = _whole(directory)
            settled = restore_settings(directory, entries)
            if wants_json(output, as_json):
                made, kept = ([str(path) for path in one] for one in (settled.made, settled.kept))
                show_json({"put_back": made, "kept": kept})
                return
            for path in settled.made:
                say(f"{path}: put back")
            for path in settled.kept:
                say(f"{path}: kept, although it is not as in the backup")
            return
        settings = host_settings.load()
        head, entries = _whole(directory)
        count = put_back(directory, head, entries, places(settings, head.instance))
    if wants_json(output, as_json):
        show_json({"files": count, "made_at": head.made_at})
    else:
        say(f"{count} files put back, as of {head.made_at}; `hakoiri audit verify` checks the log")


@contextmanager
def _told(command: str) -> Iterator[None]:
    try:
        require_root()
        with waiting(f"backup {command}"):
            yield
    except (SettingsError, PreparationError) as error:
        complain(f"backup {command}", error)
        raise typer.Exit(USAGE_EXIT_CODE) from None
    except BackupError as error:
        complain(f"backup {command}", error)
        raise typer.Exit(1) from None


def _tell_server(settings: Settings) -> None:
    """Let the server's figures know; a backup is whole, even if that cannot be written."""
    try:
        tell_backup(settings.data_dir, at_s=time.time())
    except OSError as error:
        complain(
            "backup create",
            f"the backup is whole, but its time cannot be written to {settings.data_dir}, so "
            f"HakoiriBackupOld may fire: {error.strerror}",
        )


def _instance(settings: Settings) -> str:
    path = settings.data_dir / INSTANCE_FILE
    if not path.exists():
        raise BackupError(f"{settings.data_dir} has no instance; HAKOIRI_DATA_DIR names another?")
    return instance_id(path)


def _whole(directory: Path) -> tuple[Head, list[Entry]]:
    """Return what a backup holds, all of it as it was written. Raises `BackupError`."""
    head = read_head(directory)
    entries = read_listing(directory, head)
    first = list(islice(damaged(directory, entries), SHOWN_DAMAGE))
    if first:
        raise BackupError(f"{directory} is damaged: {'; '.join(first)}")
    return head, entries


def _counted(entries: list[Entry]) -> dict[str, int]:
    files = [entry for entry in entries if not entry.is_directory]
    return {"files": len(files), "bytes": sum(entry.bytes for entry in files)}


def _said(entries: list[Entry]) -> str:
    counted = _counted(entries)
    return f"{counted['files']} files, {counted['bytes']} bytes"
