"""What an AWS signature is good for."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SigningScope:
    """One region and one service."""

    region: str
    service: str
