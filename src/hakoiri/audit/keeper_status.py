"""How far the audit log is signed, as the keeper tells it to the server."""

from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from hakoiri.audit.launch import ChainName

CHAINS_LIMIT: Final = 16


class ChainSigned(BaseModel):
    """One chain. All lines that it had at `signed_at`, in seconds since 1970, have a signed head.

    Before the keeper has found it so for the first time, that is when the keeper started.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    signed_at: float = Field(allow_inf_nan=False)
    is_broken: bool = False
    """A line of it was changed, dropped or moved: no head of it is signed any more."""


class KeeperStatus(BaseModel):
    """All chains, and when that was told, in seconds since 1970."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    told_at: float = Field(allow_inf_nan=False)
    chains: dict[ChainName, ChainSigned] = Field(max_length=CHAINS_LIMIT)
