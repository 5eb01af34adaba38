"""Where npm looks for packages: what `npm config list --json` prints.

The registry is `registry`, and `@scope:registry` for the packages of a scope (npm documentation,
"npmrc" and "scope"). npm itself leaves tokens out of the list.
"""

import json
from typing import Any, Final

from hakoiri.cli.presets.package_source import Found

_SCOPED: Final = ":registry"
_NAME_CHARS: Final = 214
"""npm's own limit for a package's name, scope included."""


class NpmConfigError(ValueError):
    """What npm printed is not the list of its settings."""


def npm_sources(listed: str) -> Found:
    """Return npm's registries; `NpmConfigError` if `listed` is not a JSON object."""
    try:
        settings: Any = json.loads(listed)
    except (ValueError, RecursionError) as error:
        raise NpmConfigError("npm config list --json did not print JSON") from error
    if not isinstance(settings, dict):
        raise NpmConfigError("npm config list --json did not print an object")
    found = Found()
    for name, value in settings.items():
        is_scoped = name.startswith("@") and name.endswith(_SCOPED) and len(name) <= _NAME_CHARS
        if isinstance(value, str) and (name == "registry" or is_scoped):
            shown = name.encode("unicode_escape").decode()
            found.add_url(value, origin=f"npm {shown}")
    return found
