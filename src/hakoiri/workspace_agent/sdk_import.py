"""Imports the agent SDK without `mcp`, which takes four fifths of the SDK's import.

The SDK needs `mcp` for one thing: tool servers inside the program that uses it. We have none (the
container's MCP servers are the CLI's own processes), but the SDK imports it all the same, and a
cold start waits for it: 440 ms against 75 ms, most of them the building of schemas that nothing
uses. While the SDK is imported, placeholders stand for `mcp`; afterwards they are gone, and whoever
imports `mcp` gets the real one.
"""

import importlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Final

SDK: Final = "claude_agent_sdk"
LEFT_OUT: Final = "mcp"


class LeftOut:
    """Stands for a class of the package that was left out; nothing can be made of it."""

    def __init_subclass__(cls, **_options: object) -> None:
        """Take any option, as pydantic's models do."""

    def __init__(self, *_: object, **__: object) -> None:
        """Refuse: a tool server inside the agent's process was asked for."""
        raise TypeError(
            f"{LEFT_OUT} is left out of the agent's process; import it before {SDK} to use it"
        )


def import_agent(module: str) -> ModuleType:
    """Import the module, and with it the SDK, without `mcp` unless that is imported already."""
    if LEFT_OUT in sys.modules or SDK in sys.modules:
        return importlib.import_module(module)
    with _placeholders():
        return importlib.import_module(module)


@contextmanager
def _placeholders() -> Iterator[None]:
    # The interface is imported by another thread meanwhile. One that goes through a list from which
    # something is taken passes a finder over, so the lists of finders are never changed themselves.
    finder = _LeftOutFinder()
    sys.meta_path = [finder, *sys.meta_path]
    try:
        yield
    finally:
        sys.meta_path = [other for other in sys.meta_path if other is not finder]
        # A copy, made in one go, for the same reason.
        for name in filter(_is_left_out, list(sys.modules)):
            del sys.modules[name]


class _LeftOutFinder(MetaPathFinder, Loader):
    """Finds an empty package for every module of the package that is left out."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target
        return ModuleSpec(fullname, self, is_package=True) if _is_left_out(fullname) else None

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__getattr__"] = _placeholder


def _placeholder(name: str) -> type[LeftOut]:
    if name.startswith("__"):
        raise AttributeError(name)
    return type(name, (LeftOut,), {})


def _is_left_out(module: str) -> bool:
    return module == LEFT_OUT or module.startswith(f"{LEFT_OUT}.")
