"""What was seen when each defence was taken out: a line an entry, in a file beside this module.

A line tells the id, the verdict, the day, the commit (with a `+` if there were changes on it) and a
digest of what was tried. An entry that was changed since is untried again: another digest.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, Self

from tests.mutation.catalogue import LAYERS, CatalogueError, Defence

FILE: Final = LAYERS / "tried.txt"
DIGEST_CHARS: Final = 16


class Verdict(StrEnum):
    """What became of one mutant."""

    CAUGHT = "caught"
    """Each of its tests failed."""

    SURVIVED = "SURVIVED"
    """A test passed although the defence was out."""

    BROKEN = "BROKEN"
    """It could not be told: the tests could not run, or the change makes no sense."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One line: `date` is an ISO day, `commit` what git calls the tree that was tried."""

    id: str
    verdict: Verdict
    date: str
    commit: str
    digest: str

    @classmethod
    def of_line(cls, line: str) -> Self:
        """Read a line; raise `CatalogueError` if it is none."""
        try:
            name, verdict, date, commit, digest = line.split()
            return cls(name, Verdict(verdict), date, commit, digest)
        except ValueError as error:
            raise CatalogueError(f"{FILE.name}: no line of a trial: {line[:80]!r}") from error

    def __str__(self) -> str:
        """Return its line."""
        return " ".join(astuple(self))


Trials = Mapping[str, Trial]
"""By the id of the defence."""


def digest_of(defence: Defence) -> str:
    """Return what tells one trial from another: the change and the tests, not the words."""
    tried = [[astuple(edit) for edit in defence.edits], sorted(defence.tests)]
    return hashlib.sha256(json.dumps(tried).encode()).hexdigest()[:DIGEST_CHARS]


def parse(text: str) -> dict[str, Trial]:
    """Read the lines; of two with one id, as a merge leaves them, the later day's is taken."""
    trials = sorted(map(Trial.of_line, text.splitlines()), key=lambda trial: trial.date)
    return {trial.id: trial for trial in trials}


def text_of(trials: Trials) -> str:
    """Write the lines, sorted, so that branches that tried other things merge."""
    return "".join(f"{trials[name]}\n" for name in sorted(trials))


def is_tried(defence: Defence, trials: Trials) -> bool:
    """Whether the defence, as its entry is now, was taken out and each of its tests failed."""
    trial = trials.get(defence.id)
    is_same = trial is not None and trial.digest == digest_of(defence)
    return is_same and trial is not None and trial.verdict is Verdict.CAUGHT


def read(path: Path = FILE) -> dict[str, Trial]:
    """Read the file; nothing was tried where there is none."""
    return parse(path.read_text()) if path.is_file() else {}


def keep(trials: Iterable[Trial], *, path: Path = FILE) -> None:
    """Put these in place of what the file tells of the same ids; all else in it stays."""
    _write(read(path) | {trial.id: trial for trial in trials}, path)


def tidy(known: Iterable[Defence], *, path: Path = FILE) -> None:
    """Sort the file, and leave out what tells of no defence that there is."""
    names = {defence.id for defence in known}
    _write({name: trial for name, trial in read(path).items() if name in names}, path)


def _write(trials: Trials, path: Path) -> None:
    written = path.with_suffix(".new")
    written.write_text(text_of(trials))
    written.replace(path)  # a run that is cut off leaves whole lines
