"""Which secrets were found in one answer, so that it can be said whose they are."""

from collections.abc import Collection, Iterable, Mapping

from hakoiri.credential_proxy.credentials.secret import Secret
from hakoiri.credential_proxy.scrubbing.scrubber import SecretPatterns


class WatchedPatterns(SecretPatterns):
    """Patterns, and those of them that were `seen` in one answer: secrets, so not for a log."""

    __slots__ = ("_watched", "seen")

    def __init__(self, watched: SecretPatterns) -> None:
        """Look for what `watched` looks for, which is shared and stays as it is."""
        self._watched = watched
        self.patterns = watched.patterns
        self.seen: set[bytes] = set()

    def replace(self, data: bytes) -> tuple[bytes, int]:
        """Do what the watched ones do."""
        clean, found = self._watched.replace(data)
        if found:
            self.seen.update(pattern for pattern in self.patterns if pattern in data)
        return clean, found

    def begun_at(self, data: bytes) -> int:
        """Do what the watched ones do."""
        return self._watched.begun_at(data)


def whose(seen: Collection[bytes], carried: Mapping[str, Iterable[Secret]]) -> tuple[str, ...]:
    """Return the names of the credentials that what was seen belongs to.

    `carried` holds the secrets of each credential that the request had on it. Where one was
    replaced meanwhile, and so belongs to none, all of them are named.
    """
    named = [
        name
        for name, secrets in carried.items()
        if any(
            pattern in seen
            for pattern in SecretPatterns.of(secret.reveal() for secret in secrets).patterns
        )
    ]
    return tuple(sorted(named or carried))
