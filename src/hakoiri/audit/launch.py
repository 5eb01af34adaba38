"""What the processes of the audit log are told at their start, by whoever starts them."""

from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, StringConstraints

ChainName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")]


HEADS: Final = "heads"
"""The name under which signed heads are copied, beside the chains."""


class KeeperLaunch(BaseModel):
    """Where the keeper's key is, where it writes heads, and where each chain is written.

    In `status_file` it tells the server how far it got.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    directory: Path
    heads: Path
    chains: dict[ChainName, Path]
    status_file: Path


class ReaderLaunch(BaseModel):
    """Where the reader listens, and where each chain is written."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    socket: Path
    chains: dict[ChainName, Path]
