"""Which recovery points are being read just now, so that nobody takes them from the list."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class PointsInUse:
    """Counts who uses which point of which workspace; one per server."""

    def __init__(self) -> None:
        self._uses: Counter[tuple[str, str]] = Counter()

    @contextmanager
    def using(self, workspace_id: str, recovery_point: str) -> Iterator[None]:
        """Hold a point while the block runs."""
        place = (workspace_id, recovery_point)
        self._uses[place] += 1
        try:
            yield
        finally:
            self._uses[place] -= 1
            if not self._uses[place]:
                del self._uses[place]

    def is_used(self, workspace_id: str, recovery_point: str) -> bool:
        """Whether anybody holds it."""
        return (workspace_id, recovery_point) in self._uses
