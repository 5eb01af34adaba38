"""How long others have shown no sign of life, on our own clock alone. Pure."""

from collections.abc import Collection


class Silence:
    """Follows those who should be heard of, by name; times are monotonic seconds."""

    def __init__(self, *, limit_s: float) -> None:
        """Whoever is silent for `limit_s` in a row counts as gone."""
        self._limit_s = limit_s
        self._since_s: dict[str, float] = {}

    def heard(self, name: str) -> None:
        """Note a sign of life, or that nothing is known: the silence begins anew."""
        self._since_s.pop(name, None)

    def is_over_limit(self, name: str, *, now_s: float) -> bool:
        """Note that there was no sign of life; whether that goes on for as long as may be."""
        return now_s - self._since_s.setdefault(name, now_s) >= self._limit_s

    def follow_only(self, names: Collection[str]) -> None:
        """Forget all others."""
        self._since_s = {name: since_s for name, since_s in self._since_s.items() if name in names}
