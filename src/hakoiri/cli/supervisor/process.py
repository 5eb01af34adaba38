"""A supervised process as plain data, and the command that brings it up with its rights."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ENTER_MODULE = "hakoiri.cli.supervisor.enter"


@dataclass(frozen=True, slots=True)
class SealedView:
    """What a process sees of the host that may override file modes: all else is read-only or gone.

    Only `writable` can be written, and `scratch`, which is its own. Of the `covered` directories
    it sees what is `kept`. In `received` it sees, and may write, what is mounted there.
    """

    writable: tuple[Path, ...]
    received: tuple[Path, ...]
    covered: tuple[Path, ...]
    kept: tuple[Path, ...]
    scratch: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One process: what runs, as whom, with which rights, seeing what.

    `environment` is all it gets; nothing is inherited. `capabilities` are kernel names without
    `CAP_`, lower case. `hidden` directories appear empty to it; `shown` ones it
    can reach although a parent may be closed to it. What it mounts in a `shared` directory, the
    host sees. `standard_input` is what it can read there, and `inherited` are the supervisor's open
    descriptors that it keeps, under the same numbers. `has_spare`: a second one stands by, loaded,
    and serves when its standard input ends; it takes the place of one that dies at once, where a
    start would take as long as the machine is busy. `is_errand`: it is to end by itself, and all
    others with it. `has_network`: without it, the process is in a network of its own, where nothing
    is; sockets that are files it reaches all the same, those of the abstract name space it does
    not. `can_leave`: on SIGUSR1 it ends as on SIGTERM, but leaves containers as they are.
    """

    name: str
    arguments: tuple[str, ...]
    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    capabilities: tuple[str, ...] = ()
    hidden: tuple[Path, ...] = ()
    shown: tuple[Path, ...] = ()
    shared: tuple[Path, ...] = ()
    view: SealedView | None = None
    standard_input: bytes = b""
    inherited: tuple[int, ...] = ()
    has_spare: bool = False
    is_errand: bool = False
    has_network: bool = True
    can_leave: bool = False


def launch_command(spec: ProcessSpec, *, shown: tuple[Path, ...], supervisor_pid: int) -> list[str]:
    """Return the command that root runs: namespaces, then `enter`, then fewer rights.

    `shown` are the directories that every process must be able to reach (interpreter and code).
    Only a child of the supervisor runs the program; it ends when that is killed.
    """
    plan = {
        "hidden": [str(path) for path in spec.hidden],
        "shown": [str(path) for path in (*shown, *spec.shown)],
        "shared": [str(path) for path in spec.shared],
        "view": _view(spec.view, shown) if spec.view is not None else None,
        "command": [
            *fewer_rights(spec),
            *_unless_orphaned(supervisor_pid),
            sys.executable,
            *spec.arguments,
        ],
    }
    return [
        "unshare",
        "--mount",
        *(() if spec.has_network else ("--net",)),
        "--propagation",
        # `enter` closes the way out for all but the shared directories, before it mounts anything
        "unchanged" if spec.shared else "slave",
        "--",
        sys.executable,
        "-P",
        "-m",
        ENTER_MODULE,
        json.dumps(plan),
    ]


def _view(view: SealedView, shown: tuple[Path, ...]) -> dict[str, list[str]]:
    return {
        "writable": [str(path) for path in view.writable],
        "received": [str(path) for path in view.received],
        "covered": [str(path) for path in view.covered],
        "kept": [str(path) for path in (*shown, *view.kept)],
        "scratch": [str(path) for path in view.scratch],
    }


def _unless_orphaned(supervisor_pid: int) -> list[str]:
    """Return how to run a program only if the supervisor lives: prctl(2), PR_SET_PDEATHSIG.

    The signal is not sent to whom asks for it too late, and giving up being root takes the wish
    back. An orphan would serve on, hold its locks, and the next supervisor could not start.
    The shell adds no variable to what the program is given.
    """
    return ["sh", "-c", 'unset PWD; test "$PPID" = "$0" && exec "$@"', str(supervisor_pid)]


def fewer_rights(spec: ProcessSpec) -> list[str]:
    """Return how root becomes the process's user, with its capabilities and no others."""
    kept = "".join(f",+{name}" for name in spec.capabilities)
    groups = (
        ["--groups", ",".join(str(group) for group in spec.groups)]
        if spec.groups
        else ["--clear-groups"]
    )
    return [
        "setpriv",
        f"--reuid={spec.uid}",
        f"--regid={spec.gid}",
        *groups,
        f"--inh-caps=-all{kept}",
        f"--ambient-caps=-all{kept}",
        f"--bounding-set=-all{kept}",
        "--no-new-privs",
        # when the supervisor is killed, its processes end as on SIGTERM
        "--pdeathsig=TERM",
        "--",
    ]
