"""The content hash in an image's tag: the same input gives the same tag, and builds nothing."""

import hashlib
from collections.abc import Mapping
from typing import Final

HASH_CHARS: Final = 16


def content_hash(parts: Mapping[str, bytes]) -> str:
    """Return 16 hex digits of SHA-256 over names and contents, whatever their order.

    Each name and content is preceded by its length, so that bytes cannot move from one to another
    without changing the hash.
    """
    digest = hashlib.sha256()
    for name, content in sorted(parts.items()):
        for piece in (name.encode(), content):
            digest.update(len(piece).to_bytes(8, "big"))
            digest.update(piece)
    return digest.hexdigest()[:HASH_CHARS]
