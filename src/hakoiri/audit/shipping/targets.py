"""What each kind of target can do, and the errors that all have in common."""

from typing import Protocol, runtime_checkable

from hakoiri.audit.segments import Segment
from hakoiri.audit.shipping.source import Batch


class TargetError(Exception):
    """The target refused, or did not answer; the message says what, never a secret."""


@runtime_checkable
class StreamTarget(Protocol):
    """Takes lines as they are written."""

    def send(self, chain: str, batch: Batch) -> None:
        """Return when the target has the batch. Raises `TargetError`, `OSError`.

        A batch that is sent again because its end was not seen does no harm.
        """


class SealedTarget(Protocol):
    """Takes whole files to which nothing is added any more."""

    def put(self, chain: str, segment: Segment) -> None:
        """Return when the target has the file. Raises `TargetError`, `OSError`."""

    def put_lines(self, chain: str, batch: Batch) -> None:
        """Return when the target has the lines of the batch, as a file named by its first line.

        For what must not wait until a file is full. Raises `TargetError`, `OSError`.
        """
