"""What a process that must hold no credential does with those it finds in its environment.

A process can delete a variable, but `/proc/PID/environ` goes on showing what it was started with.
Only `execve` replaces that too, so the process starts itself anew without them, before it imports
what could read or copy them. The standard library only, and nothing of ours.
"""

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NoReturn, TextIO

_VENDORS: Final = ("AWS_", "ANTHROPIC_", "AZURE_", "CLAUDE_", "GOOGLE_", "OPENAI_")
"""All variables of those who sell models: some are keys, some lead to keys, none is needed here."""

_WORDS: Final = re.compile(
    r"(^|_)(TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?|PASSPHRASE|KEY|AUTH)(_|$)"
)
_OURS: Final = "HAKOIRI_"
_PASSWORD_IN_URL: Final = re.compile(r"://[^/@\s]*:[^/@\s]+@")


Execute = Callable[[str, list[str], Mapping[str, str]], NoReturn]
"""`os.execve`: program, arguments, environment; it does not return."""


def credential_variables(environment: Mapping[str, str]) -> list[str]:
    """Return the names, sorted, of variables that are or may lead to a credential.

    By name, or because the value is a URL with a password. `HAKOIRI_*` are settings of ours.
    """
    return sorted(
        name
        for name, value in environment.items()
        if not name.startswith(_OURS)
        and (
            name.startswith(_VENDORS)
            or _WORDS.search(name.upper())
            or _PASSWORD_IN_URL.search(value)
        )
    )


def drop_credentials(
    program: str,
    *,
    environment: Mapping[str, str] = os.environ,
    command: Sequence[str] | None = None,
    tell: TextIO | None = None,
    execute: Execute = os.execve,
) -> None:
    """Start this process anew without the credentials in its environment; return if there are none.

    `command` is how it was started, the interpreter first (default: as it was). What is dropped
    goes to `tell` (default: standard error) by name, never by value, with where it belongs.
    Descriptors and standard input stay as they are.
    """
    found = credential_variables(environment)
    if not found:
        return
    out = tell or sys.stderr
    out.write(
        f"{program}: this process must not hold credentials; dropped from its environment: "
        f"{', '.join(found)}. Those that the credential proxy needs belong in its own file "
        "(HAKOIRI_PROXY__ENV_FILE, by default /etc/hakoiri/proxy.env)\n"
    )
    out.flush()
    kept = {name: value for name, value in environment.items() if name not in found}
    execute(sys.executable, [sys.executable, *(command or sys.orig_argv)[1:]], kept)
