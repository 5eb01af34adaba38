"""When an image was looked through, and what was seen: a note beside its signature.

It is for whoever wants to know whether anybody looked; nothing is let through by it.
"""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from hakoiri.image.vulnerability_scanners import State

RECORD_NAME: Final = "scan.json"
LIMIT_BYTES: Final = 64 * 1024
SCANNERS_LIMIT: Final = 32


class ScanRecord(BaseModel):
    """One look. `findings` are our own, of the layers; `scanners` say what each other one did."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image: str
    at: AwareDatetime
    findings: int = Field(ge=0)
    scanners: dict[str, State] = Field(max_length=SCANNERS_LIMIT)

    @property
    def is_clean(self) -> bool:
        """Whether nothing was found by those that could look."""
        return not self.findings and "vulnerable" not in self.scanners.values()

    @property
    def looked(self) -> list[str]:
        """Those scanners that gave an answer."""
        return sorted(
            name for name, state in self.scanners.items() if state in {"clean", "vulnerable"}
        )

    @classmethod
    def parse(cls, content: bytes) -> Self | None:
        """Read a note; None if it is none."""
        try:
            return cls.model_validate_json(content)
        except ValidationError:
            return None


def write_record(record: ScanRecord, directory: Path) -> str | None:
    """Write the note whole; return why it could not be written."""
    partial = directory / f"{RECORD_NAME}.partial"
    try:
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(partial, flags, 0o644), "wb") as file:
            file.write(record.model_dump_json(indent=1).encode() + b"\n")
        partial.rename(directory / RECORD_NAME)
    except OSError as error:
        return f"{error.filename}: {error.strerror}"
    return None


def read_record(directory: Path) -> ScanRecord | None:
    """Return the note of the newest look; None if there is none that can be read."""
    try:
        with (directory / RECORD_NAME).open("rb") as file:
            return ScanRecord.parse(file.read(LIMIT_BYTES))
    except OSError:
        return None


def age_days(record: ScanRecord, *, now: datetime) -> float:
    """Return how long ago it was."""
    return (now.astimezone(UTC) - record.at).total_seconds() / 86_400
