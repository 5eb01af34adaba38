"""Having a box clone a git repository, seen from here: how far it is, and what came of it."""

from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

from hakoiri.cli import exit_codes
from hakoiri.cli.api_client import ApiClient, ApiError
from hakoiri.cli.live_screen import Bar, percent_bar
from hakoiri.cli.plain_text import plain
from hakoiri.cli.screen import say, show_json

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


def clone(api: ApiClient, place: str, repository: Repository, *, as_json: bool) -> int:
    """Import it into the workspace at `place`; return the exit code. Raises `ApiError`."""
    try:
        with percent_bar("starting") as move:
            done = _follow(api, place, repository, move)
    except KeyboardInterrupt:  # closing the stream has stopped it
        return exit_codes.INTERRUPTED
    if as_json:
        show_json(done)
    else:
        say(plain(f"{done['commit']}  {done['path']}"))
    return 0


def _follow(api: ApiClient, place: str, repository: Repository, move: Bar) -> dict[str, Any]:
    with closing(api.events("POST", f"{place}/import", repository.body())) as events:
        for event, data in events:
            if event == "progress":
                move(description=_WORDS.get(data["stage"], "cloning"), completed=data["percent"])
            elif event == "imported":
                return data
            elif event == "error":
                raise ApiError(plain(data["text"]))
    raise ApiError("the server's stream ended before the import did; nothing was imported")
