"""The patterns of the secrets that are in use, prepared once."""

from collections import OrderedDict
from typing import Final

from hakoiri.credential_proxy.credentials.secret import Secret
from hakoiri.credential_proxy.scrubbing.scrubber import SecretPatterns

SETS_LIMIT: Final = 256


class PatternCache:
    """Keeps patterns by the secrets they are of; the longest unused are forgotten first."""

    def __init__(self) -> None:
        self._patterns: OrderedDict[tuple[Secret, ...], SecretPatterns] = OrderedDict()

    def of(self, secrets: tuple[Secret, ...]) -> SecretPatterns:
        """Return the patterns of `secrets`."""
        patterns = self._patterns.get(secrets)
        if patterns is None:
            patterns = SecretPatterns.of(secret.reveal() for secret in secrets)
            self._patterns[secrets] = patterns
            if len(self._patterns) > SETS_LIMIT:
                self._patterns.popitem(last=False)
        else:
            self._patterns.move_to_end(secrets)
        return patterns
