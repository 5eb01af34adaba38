"""Bytes as the text that messages carry."""

import base64
import binascii


def encode(raw: bytes | bytearray) -> str:
    """Return bytes as the base64 that messages carry."""
    return base64.b64encode(raw).decode("ascii")


def decode(text: str) -> bytes:
    """Return the bytes; `ValueError` for anything but plain base64 (RFC 4648, section 4)."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("it is not base64") from error
