"""Having a box clone a git repository, seen from here: how far it is, and what came of it."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from hakoiri.cli.api_client import ApiClient, ApiError
from hakoiri.cli.client_options import show_json
from hakoiri.cli.command_run import INTERRUPTED_CODE
from hakoiri.cli.plain_text import plain

_WORDS: Final = {
    "counting": "counting there",
    "compressing": "compressing there",
    "receiving": "receiving",
    "unpacking": "unpacking",
    "resolving": "resolving deltas",
    "updating": "writing files",
}


@dataclass(frozen=True, slots=True)
class Repository:
    """What is to be cloned, and to where; what is None is the server's to choose."""

    url: str
    ref: str | None
    depth: int | None
    path: str | None

    def body(self) -> dict[str, Any]:
        """Return it as the API takes it."""
        given = {"url": self.url, "ref": self.ref, "depth": self.depth, "path": self.path}
        return {"git": {name: value for name, value in given.items() if value is not None}}


class Shows(Protocol):
    """Shows how far a clone is."""

    def __call__(self, stage: str, percent: int | None) -> None:
        """Take the newest."""


def clone(api: ApiClient, place: str, repository: Repository, *, as_json: bool) -> int:
    """Import it into the workspace at `place`; return the exit code. Raises `ApiError`."""
    try:
        with _progress() as show:
            done = _follow(api, place, repository, show)
    except KeyboardInterrupt:  # closing the stream has stopped it
        return INTERRUPTED_CODE
    if as_json:
        show_json(done)
    else:
        typer.echo(plain(f"{done['commit']}  {done['path']}"))
    return 0


def _follow(api: ApiClient, place: str, repository: Repository, show: Shows) -> dict[str, Any]:
    with closing(api.events("POST", f"{place}/import", repository.body())) as events:
        for event, data in events:
            if event == "progress":
                show(_WORDS.get(data["stage"], "cloning"), data["percent"])
            elif event == "imported":
                return data
            elif event == "error":
                raise ApiError(plain(data["text"]))
    raise ApiError("the server's stream ended before the import did; nothing was imported")


@contextmanager
def _progress() -> Iterator[Shows]:
    """Show a bar on a terminal's standard error; give what moves it."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task("starting", total=None)

        def show(stage: str, percent: int | None) -> None:
            total = None if percent is None else 100
            bar.update(task, description=stage, total=total, completed=percent or 0)

        yield show
