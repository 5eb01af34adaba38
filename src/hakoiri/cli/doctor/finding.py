"""What a check found: a state, a sentence, and the mend where one is needed."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class State(StrEnum):
    """How one thing is."""

    OK = "ok"
    """It is as it should be."""

    WARNING = "warning"
    """Hakoiri runs without it; a layer of protection or a convenience is not there."""

    OPEN = "open"
    """It is not built, or cannot be told from this host; the mend says who can tell, and how."""

    MISSING = "missing"
    """Hakoiri cannot run safely until it is mended."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check. `mend` is empty exactly when `state` is ok."""

    name: str
    state: State
    text: str
    mend: str = ""

    @classmethod
    def ok(cls, name: str, text: str) -> Self:
        """It is as it should be."""
        return cls(name, State.OK, text)

    @classmethod
    def warning(cls, name: str, text: str, *, mend: str) -> Self:
        """It would be better otherwise."""
        return cls(name, State.WARNING, text, mend)

    @classmethod
    def open(cls, name: str, text: str, *, mend: str) -> Self:
        """It is for others to tell, or to do."""
        return cls(name, State.OPEN, text, mend)

    @classmethod
    def missing(cls, name: str, text: str, *, mend: str) -> Self:
        """It must be mended first."""
        return cls(name, State.MISSING, text, mend)


def is_fit(findings: Iterable[Finding]) -> bool:
    """Whether nothing that is needed is missing."""
    return all(finding.state is not State.MISSING for finding in findings)
