"""Brings one target up to date, a batch at a time, and remembers how far it got.

The place is on the disk before the next batch is begun and after the target has the one before: a
batch may come twice, none is left out. Nothing waits in memory: the chains' files are the queue.
"""

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from hakoiri.audit.chain import AuditError
from hakoiri.audit.launch import HEADS, ChainName
from hakoiri.audit.segments import Segment
from hakoiri.audit.shipping.source import (
    Batch,
    Place,
    missed_lines,
    next_batch,
    next_sealed,
    waiting_bytes,
)
from hakoiri.audit.shipping.status import ChainStatus, TargetStatus
from hakoiri.audit.shipping.targets import SealedTarget, StreamTarget

ERROR_LIMIT_CHARS: Final = 500
HEADS_EVERY_S: Final = 60.0
"""Between two objects of a bucket that hold signed heads; a chain's files go when they are full."""

PAUSE_MIN_S: Final = 1.0
PAUSE_MAX_S: Final = 60.0
PLACES_LIMIT_BYTES: Final = 64 * 1024


class Places(BaseModel):
    """How far each chain was copied."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    chains: dict[ChainName, Place] = {}


class Teller(Protocol):
    """Tells what happened."""

    def __call__(self, event: str, **fields: object) -> None:
        """Tell it."""


class Courier:
    """Serves one target. Not for several threads."""

    def __init__(
        self,
        *,
        name: str,
        kind: str,
        target: StreamTarget | SealedTarget,
        chains: Mapping[str, Path],
        places_file: Path,
        tell: Teller,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        """Go on where `places_file` says; raises `AuditError` if it says nothing that can be used.

        `wall_s` gives seconds since 1970.
        """
        self._name = name
        self._kind = kind
        self._target = target
        self._chains = dict(chains)
        self._file = places_file
        self._tell = tell
        self._wall_s = wall_s
        self._places = dict(load_places(places_file))
        self._missed = dict.fromkeys(chains, 0)
        self._heads_put_s = -HEADS_EVERY_S
        self._shipped_bytes = 0
        self._failures = 0
        self._error: str | None = None
        self.pause_s = 0.0
        """How long to wait before the next step, after one that failed."""

        self.status = TargetStatus(name=name, kind=kind)

    def step(self) -> bool:
        """Ship at most one piece of each chain; return whether there was any. Raises nothing.

        A chain that cannot be read holds up no other.
        """
        has_shipped = False
        errors: list[str] = []
        for chain, directory in self._chains.items():
            if not directory.is_dir():
                continue
            try:
                has_shipped |= self._ship(chain, directory)
            except Exception as error:  # noqa: BLE001 - a courier that dies would go unnoticed
                errors.append(f"{chain}: {str(error) or type(error).__name__}"[:ERROR_LIMIT_CHARS])
        self._take_note(errors)
        self.status = self._status_now()
        return has_shipped and not errors

    def _ship(self, chain: str, directory: Path) -> bool:
        place = self._places.get(chain)
        shipped = self._ship_piece(chain, directory, place)
        if shipped is None:
            return False
        segment, after, size = shipped
        if missed := missed_lines(segment, place):
            self._missed[chain] += missed
            self._tell("audit_lines_not_shipped", target=self._name, chain=chain, lines=missed)
        self._places[chain] = after
        save_places(self._file, self._places)
        self._shipped_bytes += size
        return True

    def _ship_piece(
        self, chain: str, directory: Path, place: Place | None
    ) -> tuple[Segment, Place, int] | None:
        """Ship what comes next; return its file, the place after it, and its bytes."""
        target = self._target
        if isinstance(target, StreamTarget):
            return _ship_lines(target.send, chain, next_batch(directory, place))
        if chain == HEADS:  # what they vouch for is to follow: they do not wait for a full file
            if 0 <= self._wall_s() - self._heads_put_s < HEADS_EVERY_S:
                return None
            shipped = _ship_lines(target.put_lines, chain, next_batch(directory, place))
            self._heads_put_s = self._wall_s() if shipped else self._heads_put_s
            return shipped
        sealed = next_sealed(directory, place)
        if sealed is None:
            return None
        segment, after = sealed
        target.put(chain, segment)
        return segment, after, after.offset

    def _take_note(self, errors: list[str]) -> None:
        if not errors:
            if self._error is not None:
                self._tell("audit_shipping_again", target=self._name)
            self._error, self.pause_s = None, 0.0
            return
        self._failures += 1
        if self._error != errors[0]:
            self._tell("audit_not_shipped", target=self._name, reason=errors[0])
        self._error = errors[0]
        self.pause_s = min(PAUSE_MAX_S, max(PAUSE_MIN_S, 2 * self.pause_s))

    def _status_now(self) -> TargetStatus:
        chains = {
            name: ChainStatus(
                sequence=place.sequence if (place := self._places.get(name)) else 0,
                waiting_bytes=self._waiting(name, directory),
                missed_lines=self._missed[name],
            )
            for name, directory in self._chains.items()
            if directory.is_dir()
        }
        is_behind = any(one.waiting_bytes for one in chains.values())
        since = self.status.behind_since
        return TargetStatus(
            name=self._name,
            kind=self._kind,
            chains=chains,
            shipped_bytes=self._shipped_bytes,
            failures=self._failures,
            behind_since=(since if since is not None else self._wall_s()) if is_behind else None,
            error=self._error,
        )

    def _waiting(self, chain: str, directory: Path) -> int:
        try:
            return waiting_bytes(
                directory,
                self._places.get(chain),
                sealed_only=chain != HEADS and not isinstance(self._target, StreamTarget),
            )
        except (AuditError, OSError):
            return 0


def _ship_lines(
    send: Callable[[str, Batch], None], chain: str, batch: Batch | None
) -> tuple[Segment, Place, int] | None:
    if batch is None:
        return None
    send(chain, batch)
    return batch.segment, batch.after, len(batch.data)


def load_places(path: Path) -> Mapping[str, Place]:
    """Return how far each chain was copied; nothing if that was never kept.

    Raises `AuditError`: to begin anew by guess would send all of it again.
    """
    try:
        with path.open("rb") as file:
            return Places.model_validate_json(file.read(PLACES_LIMIT_BYTES)).chains
    except FileNotFoundError:
        return {}
    except (OSError, ValidationError) as error:
        raise AuditError(
            f"{path} does not say how far the log was copied; remove it to begin anew"
        ) from error


def save_places(path: Path, places: Mapping[str, Place]) -> None:
    """Keep how far each chain was copied; it survives a crash of the host. Raises `OSError`."""
    partial = path.with_suffix(".partial")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(partial, flags, 0o600), "wb") as file:
        file.write(Places(chains=dict(places)).model_dump_json().encode())
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
