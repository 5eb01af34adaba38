"""Becomes one of our processes in its place, where somebody else supervises: a container engine.

The container is then the view, the network and the limits; what is left to do is what the process
reads at its start, and to give up being root where its user needs capabilities.
"""

import os
import sys
from collections.abc import Callable, Mapping
from typing import Final, NoReturn

from hakoiri.cli.supervisor.preparation import PreparationError
from hakoiri.cli.supervisor.process import ProcessSpec, fewer_rights

Execute = Callable[[str, list[str], Mapping[str, str]], NoReturn]
"""`os.execvpe`: program, arguments, environment; it does not return."""

STANDARD_INPUT: Final = 0


def becoming_command(spec: ProcessSpec, *, uid: int, gid: int) -> list[str]:
    """Return the command by which a process of this user and group becomes `spec`'s.

    Raises `PreparationError` where it cannot.
    """
    program = [sys.executable, "-P", *spec.arguments]
    if uid == 0:
        return [*fewer_rights(spec), *program]
    if spec.capabilities:
        raise PreparationError(
            f"{spec.name} needs capabilities, which only root can hand to the user {spec.uid}; "
            "start it as root"
        )
    if (uid, gid) != (spec.uid, spec.gid):
        raise PreparationError(
            f"{spec.name} runs as {spec.uid}:{spec.gid}, not {uid}:{gid}; start it as that user"
        )
    return program


def become(spec: ProcessSpec, *, execute: Execute = os.execvpe) -> None:
    """Run the process instead of this one: it gets its input, its descriptors, its environment.

    Returns only with another `execute`. Raises `PreparationError`.
    """
    command = becoming_command(spec, uid=os.geteuid(), gid=os.getegid())
    launch = os.memfd_create("launch")
    with os.fdopen(launch, "wb", closefd=False) as file:
        file.write(spec.standard_input)
    os.lseek(launch, 0, os.SEEK_SET)
    os.dup2(launch, STANDARD_INPUT)
    os.close(launch)
    for descriptor in spec.inherited:
        os.set_inheritable(descriptor, True)  # noqa: FBT003 - the interface of os
    os.chdir("/")
    execute(command[0], command, dict(spec.environment))
