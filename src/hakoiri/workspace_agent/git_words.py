"""What git says on standard error, purely: how far it is, and why it gave up.

Source: git 2.39 in English (`LC_ALL=C.UTF-8`) with libcurl 7.88, as Debian 12 has them.
"""

import re
from collections import deque
from typing import Final

from hakoiri.wire.git_import import CloneProgress, FailureCode, Stage

_STAGES: Final[dict[str, Stage]] = {
    "Checking out files": "updating",
    "Compressing objects": "compressing",
    "Counting objects": "counting",
    "Receiving objects": "receiving",
    "Resolving deltas": "resolving",
    "Unpacking objects": "unpacking",
    "Updating files": "updating",
}
_PROGRESS: Final = re.compile(r"(?:remote: )?([A-Z][a-z]+(?: [a-z]+)+): +(?:([0-9]{1,3})%|[0-9]+)")
_TOLD: Final = re.compile(r"fatal:|error:|remote: (?!Enumerating objects|Total [0-9])")
_LINE_LIMIT_CHARS: Final = 1000
_KEPT_LINES: Final = 20
_TEXT_LIMIT_CHARS: Final = 2000

_MEANINGS: Final[tuple[tuple[re.Pattern[str], FailureCode], ...]] = (
    (
        re.compile(
            r"No space left on device|Disk quota exceeded|Out of diskspace"
            r"|unable to write file [^:]*$",  # a write that fell short, without the system's word
            re.MULTILINE,
        ),
        "no-space",
    ),
    (
        re.compile(r"could not read (Username|Password)|Authentication failed|error: 401"),
        "login",
    ),
    (
        re.compile(r"from proxy after CONNECT|CONNECT tunnel failed|returned error: 403"),
        "refused",
    ),
    (re.compile(r"repository '[^']*' not found|returned error: 404"), "no-such-repository"),
    (
        re.compile(
            r"Remote branch .* not found in upstream|couldn't find remote ref|not our ref"
            r"|unadvertised object"
        ),
        "no-such-ref",
    ),
)
"""The first that fits counts: a full disk fails in many ways."""


class GitWords:
    """Takes what git writes, in pieces, and keeps the end of it."""

    def __init__(self) -> None:
        self._rest = ""
        self._last: CloneProgress | None = None
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)

    def take(self, raw: bytes) -> list[CloneProgress]:
        """Return what is new in how far git is, one for each percent at most."""
        parts = re.split(r"[\r\n]", self._rest + raw.decode("utf-8", "replace"))
        self._rest = parts.pop()[-_LINE_LIMIT_CHARS:]
        told = []
        for line in parts:
            found = self._progress(line)
            if found is None:
                if line.strip():
                    self._lines.append(line[:_LINE_LIMIT_CHARS].strip())
            elif found != self._last:
                self._last = found
                told.append(found)
        return told

    def failure(self) -> tuple[FailureCode, str]:
        """Return why git gave up, by its last words."""
        lines = [*self._lines, *([self._rest.strip()] if self._rest.strip() else [])]
        whole = "\n".join(lines)
        codes: list[FailureCode] = [code for form, code in _MEANINGS if form.search(whole)]
        told = [line for line in lines if _TOLD.match(line)]
        return codes[0] if codes else "failed", ("; ".join(told or lines) or "git gave no reason")[
            -_TEXT_LIMIT_CHARS:
        ]

    def _progress(self, line: str) -> CloneProgress | None:
        found = _PROGRESS.match(line)
        stage = _STAGES.get(found[1]) if found is not None else None
        if found is None or stage is None:
            return None
        return CloneProgress(stage=stage, percent=min(int(found[2]), 100) if found[2] else None)
