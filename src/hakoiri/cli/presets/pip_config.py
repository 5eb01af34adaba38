"""Where pip looks for packages: what `pip config list` prints, and pip's own default.

Format and precedence: pip documentation, "Configuration" and "pip config": lines of `name='value'`,
names with a section, the environment's as `:env:.name`; environment before command before global.
"""

import ast
from collections.abc import Mapping, Sequence
from typing import Final

from hakoiri.cli.presets.package_source import Found

_SECTIONS: Final = (":env:", "install", "global")
"""The first that has a value counts; `install` stands for the commands that fetch packages."""

_TRUE: Final = frozenset({"y", "yes", "t", "true", "on", "1"})
_LINES_LIMIT: Final = 10_000


def pip_sources(listed: str, *, built_in: Sequence[str]) -> Found:
    """Return pip's sources.

    `listed` is the output of `pip config list`; `built_in` are the URLs or bare hosts that pip uses
    where no index is named.
    """
    found = Found()
    settings = parse_pip_config(listed)
    if _effective(settings, "no-index").strip().lower() not in _TRUE:
        index = _effective(settings, "index-url").split()
        for url in index:
            found.add_url(url, origin="pip index-url")
        if not index:
            for named in built_in:
                if "://" in named:
                    found.add_url(named, origin="pip's default")
                else:
                    found.add_host(named, origin="pip's default")
        for url in _effective(settings, "extra-index-url").split():
            found.add_url(url, origin="pip extra-index-url")
    for place in _effective(settings, "find-links").split():
        found.add_url(place, origin="pip find-links")
    return found


def parse_pip_config(listed: str) -> dict[str, str]:
    """Return the settings by their full names; lines that are no setting are passed over."""
    settings: dict[str, str] = {}
    for line in listed.splitlines()[:_LINES_LIMIT]:
        name, equals, shown = line.partition("=")
        if not equals or "." not in name:
            continue
        try:
            value = ast.literal_eval(shown.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(value, str):
            settings[name.strip().lower()] = value
    return settings


def _effective(settings: Mapping[str, str], option: str) -> str:
    for section in _SECTIONS:
        value = settings.get(f"{section}.{option}")
        if value is not None:
            return value
    return ""
