"""What the kernel says of AppArmor. Nothing here judges, and nothing here writes."""

import re
from pathlib import Path
from typing import Final

from hakoiri.host.launch import AppArmorKnown

SYS: Final = Path("/sys")
LIST_LIMIT_BYTES: Final = 4 * 1024 * 1024
"""A profile is a line of some 40 bytes; no host has a hundred thousand."""

_LINE: Final = re.compile(r"(?P<name>.+) \((?P<mode>[a-z]+)\)")


def read_apparmor(sys: Path = SYS) -> AppArmorKnown:
    """Return whether the running kernel uses AppArmor, and which profiles it has in which mode.

    The list of profiles needs CAP_MAC_ADMIN; without, or where securityfs is not to be seen, it is
    None: it cannot be told. `sys` is where sysfs is.
    """
    try:
        enabled = (sys / "module/apparmor/parameters/enabled").read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return AppArmorKnown(enabled=False)
    if enabled.strip() != "Y":
        return AppArmorKnown(enabled=False)
    return AppArmorKnown(
        enabled=True, profiles=_profiles(sys / "kernel/security/apparmor/profiles")
    )


def _profiles(path: Path) -> dict[str, str] | None:
    try:
        with path.open("rb") as file:
            content = file.read(LIST_LIMIT_BYTES + 1)
    except OSError:
        return None
    if len(content) > LIST_LIMIT_BYTES:
        return None
    lines = content.decode(errors="replace").splitlines()
    return {found["name"]: found["mode"] for line in lines if (found := _LINE.fullmatch(line))}
