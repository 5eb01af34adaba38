"""How far each copy got, as told to the server and to `hakoiri audit ship status`."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from hakoiri.audit.launch import ChainName
from hakoiri.audit.shipping.configuration import TARGETS_LIMIT, TargetName


class ChainStatus(BaseModel):
    """One chain at one target. `sequence` is the last line that it has, 0 if none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sequence: int = Field(ge=0)
    waiting_bytes: int = Field(ge=0)
    missed_lines: int = Field(default=0, ge=0)
    """Taken away from this host before they were copied."""


class TargetStatus(BaseModel):
    """One target. Times are seconds since 1970; `behind_since` is None while it has all."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: TargetName
    kind: Annotated[str, StringConstraints(max_length=16)]
    chains: dict[ChainName, ChainStatus] = {}
    shipped_bytes: int = Field(default=0, ge=0)
    failures: int = Field(default=0, ge=0)
    """Since the shipper started, as the bytes are."""

    behind_since: float | None = None
    error: Annotated[str, StringConstraints(max_length=500)] | None = None
    """Of the newest try; None if it succeeded."""

    @property
    def waiting_bytes(self) -> int:
        """Bytes of all chains that it has not yet."""
        return sum(one.waiting_bytes for one in self.chains.values())


class ShipStatus(BaseModel):
    """All targets, and when that was told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    told_at: float
    targets: list[TargetStatus] = Field(max_length=TARGETS_LIMIT)
