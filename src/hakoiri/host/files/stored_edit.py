"""Changes of single paths of a recovery point's list, for workspaces that are not live. Pure."""

from collections.abc import Sequence
from dataclasses import replace

from hakoiri.host.files.manifest import Entry
from hakoiri.host.files.paths import parent_of, reported
from hakoiri.host.files.plan import Place, in_order
from hakoiri.host.files.ports import EditRefusedError, NoSuchFileError

NEW_DIRECTORY_MODE = 0o755


def with_file(entries: Sequence[Entry], file: Entry) -> tuple[Entry, ...]:
    """Return the list with the file in place of what was there, and with its directories.

    `EditRefusedError` if a directory is there, or something else where one is needed. The mode of
    a file that is replaced is kept.
    """
    known = {entry.place: entry for entry in entries}
    there = known.get(file.place)
    if there is not None and there.kind == "directory":
        raise EditRefusedError(f"{reported(file.path)}: is a directory")
    mode = there.mode if there is not None and there.kind == "file" else file.mode
    known[file.place] = replace(file, mode=mode)
    _put_parents(known, file)
    return in_order(known.values())


def with_tree(entries: Sequence[Entry], added: Sequence[Entry]) -> tuple[Entry, ...]:
    """Return the list with files and directories put in, as `with_file` does one.

    A directory that is there already stays as it is.
    """
    known = {entry.place: entry for entry in entries}
    for entry in added:
        there = known.get(entry.place)
        if there is not None and entry.kind == "directory" and there.kind != "directory":
            raise EditRefusedError(f"{reported(entry.path)}: is a {there.kind}, not a directory")
        if there is not None and there.kind == "directory":
            if entry.kind != "directory":
                raise EditRefusedError(f"{reported(entry.path)}: is a directory")
            continue
        mode = there.mode if there is not None and there.kind == "file" else entry.mode
        known[entry.place] = replace(entry, mode=mode)
        _put_parents(known, entry)
    return in_order(known.values())


def without(entries: Sequence[Entry], path: bytes) -> tuple[Entry, ...]:
    """Return the list without the path of the workspace and all below it; `NoSuchFileError`."""
    below = path + b"/"
    kept = tuple(
        entry
        for entry in entries
        if entry.root != "workspace" or (entry.path != path and not entry.path.startswith(below))
    )
    if len(kept) == len(entries):
        raise NoSuchFileError(f"there is no {reported(path)!r}")
    return kept


def _put_parents(known: dict[Place, Entry], file: Entry) -> None:
    """Put in the directories on the way to an entry."""
    parent = parent_of(file.path)
    while parent:
        above = known.get((file.root, parent))
        if above is None:
            known[file.root, parent] = Entry(
                root=file.root,
                path=parent,
                kind="directory",
                mode=NEW_DIRECTORY_MODE,
                mtime_ns=file.mtime_ns,
            )
        elif above.kind != "directory":
            raise EditRefusedError(f"{reported(parent)}: is a {above.kind}, not a directory")
        parent = parent_of(parent)
