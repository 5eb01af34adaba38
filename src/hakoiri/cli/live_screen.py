"""Colours, bars and spinners on a terminal; in a pipe none of them. What is printed is harmless."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from hakoiri.cli.plain_text import plain

DESCRIPTION_LIMIT_CHARS: Final = 40
"""Of what stands before a bar; a path's end tells more than its beginning."""


class Screen(Console):
    """Rich's console; every text is cleaned before. Markup in it is the caller's to escape."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as rich does."""
        super().print(*(_harmless(one) for one in objects), **options)


def _harmless(one: Any) -> Any:
    if isinstance(one, str):
        return plain(one)
    if isinstance(one, Text) and plain(one.plain) != one.plain:
        return Text(plain(one.plain), style=one.style)  # its spans would not fit any more
    return one


def screen(*, stderr: bool = False) -> Screen:
    """Return the way to standard output or error."""
    return Screen(stderr=stderr, highlight=False)


class Bar(Protocol):
    """Moves a bar."""

    def __call__(
        self, *, advance: float = 0, completed: float | None = None, description: str | None = None
    ) -> None:
        """Move it on, or to where it is now; what is not given stays."""


@contextmanager
def bytes_bar(description: str, *, total: int | None) -> Iterator[Bar]:
    """Show a bar that counts bytes on a terminal's standard error; give what moves it."""
    # They take long to import, and few commands need them.
    from rich.progress import BarColumn, DownloadColumn, TransferSpeedColumn  # noqa: PLC0415

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with _bar(description, total=total, columns=columns) as move:
        yield move


@contextmanager
def percent_bar(description: str) -> Iterator[Bar]:
    """Show a bar that goes to 100, once it is told how far, on a terminal's standard error."""
    from rich.progress import BarColumn, TaskProgressColumn  # noqa: PLC0415

    with _bar(description, total=None, columns=(BarColumn(), TaskProgressColumn())) as move:
        yield move


@contextmanager
def spinner(what: str) -> Iterator[None]:
    """Show that something takes its time, and for how long. See `waiting`."""
    from rich.progress import SpinnerColumn, TimeElapsedColumn  # noqa: PLC0415

    with _bar(what, total=None, columns=(SpinnerColumn(), TimeElapsedColumn())):
        yield


@contextmanager
def _bar(description: str, *, total: int | None, columns: tuple[Any, ...]) -> Iterator[Bar]:
    from rich.progress import Progress, TextColumn  # noqa: PLC0415

    on = screen(stderr=True)
    progress = Progress(
        TextColumn("{task.description}"),
        *columns,
        console=on,
        transient=True,
        disable=not on.is_terminal,
    )
    with progress:
        task = progress.add_task(_described(description), total=total)

        def move(
            *,
            advance: float = 0,
            completed: float | None = None,
            description: str | None = None,
        ) -> None:
            progress.update(
                task,
                advance=advance or None,
                completed=completed,
                total=None if completed is None else 100,
                description=None if description is None else _described(description),
            )

        yield move


def _described(text: str) -> str:
    return escape(plain(text).replace("\n", " ")[-DESCRIPTION_LIMIT_CHARS:])
