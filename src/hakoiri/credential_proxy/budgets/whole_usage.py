"""Usage in an answer that is not streamed: one JSON document. No I/O."""

from typing import Final

from hakoiri.credential_proxy.budgets.told_usage import read_object, usage_of
from hakoiri.credential_proxy.budgets.usage import Usage

DOCUMENT_LIMIT_BYTES: Final = 4 * 1024 * 1024
"""Eight times the longest answer of today's models; of a longer one the usage is not known."""


class WholeUsage:
    """Keeps the document until it is whole. `told` is what the answer's headers said, if they did.

    Headers are the API's own word for all that the request took.
    """

    def __init__(self, told: Usage | None = None) -> None:
        self.usage = told or Usage()
        self.is_final = told is not None
        self.model: str | None = None
        self._pieces: list[bytes] = []
        self._size_bytes = 0

    def feed(self, piece: bytes) -> None:
        """Take the next bytes."""
        self._size_bytes += len(piece)
        if self._size_bytes <= DOCUMENT_LIMIT_BYTES:
            self._pieces.append(piece)
        else:
            self._pieces.clear()

    def finish(self) -> None:
        """The document is whole: read it."""
        if self._size_bytes > DOCUMENT_LIMIT_BYTES:
            return
        document = read_object(b"".join(self._pieces))
        self._pieces.clear()
        model = document.get("model")
        self.model = model if isinstance(model, str) else None
        usage = usage_of(document.get("usage"))
        if usage is not None:
            self.usage = self.usage.raised_to(usage)
            self.is_final = True
