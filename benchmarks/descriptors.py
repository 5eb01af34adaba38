"""What the open descriptors of processes are, so that one that is left over can be told."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

_NUMBERED: Final = re.compile(r"[0-9a-f]{8,}|\d+")
_INODE: Final = re.compile(r"socket:\[(\d+)\]")

UNIX_SOCKETS: Final = Path("/proc/net/unix")


def socket_paths(table: str) -> dict[str, str]:
    """Return the path of each Unix socket in the kernel's table, by inode; `-` if it has none."""
    found = {}
    for line in table.splitlines()[1:]:
        parts = line.split()
        found[parts[6]] = parts[7] if len(parts) > 7 else "-"
    return found


def kind_of(link: str, paths: Mapping[str, str]) -> str:
    """Return what a link below `/proc/PID/fd` is, without what differs from one to the next.

    One end of a connection over a Unix socket has the listener's path, the other has none.
    """
    if socket := _INODE.fullmatch(link):
        path = paths.get(socket[1])
        return "socket, not Unix" if path is None else f"socket {_NUMBERED.sub('#', path)}"
    return _NUMBERED.sub("#", link.split(":[", maxsplit=1)[0])


def by_kind(pids: Iterable[int]) -> Counter[str]:
    """Count the processes' descriptors by kind; those that go meanwhile do not count."""
    paths = socket_paths(UNIX_SOCKETS.read_text())
    found: Counter[str] = Counter()
    for pid in pids:
        with suppress(OSError):
            for entry in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(OSError):
                    found[kind_of(os.readlink(entry), paths)] += 1  # noqa: PTH115 - no path
    return found


def differences(first: Counter[str], last: Counter[str]) -> list[str]:
    """Return a line for each kind of which there are not as many as there were."""
    return [
        f"{kind}: {first[kind]} -> {last[kind]}"
        for kind in sorted({*first, *last})
        if first[kind] != last[kind]
    ]
