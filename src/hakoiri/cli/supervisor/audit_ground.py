"""Where the audit log lies: a directory for each chain, its writer's, and one for the keeper.

The keeper reads every chain by its group and writes only its own directory, which nobody else may
see into. No writer sees another's chain.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hakoiri.audit.launch import HEADS
from hakoiri.host.settings import Settings

SERVER_CHAIN: Final = "server"
PROXY_CHAIN: Final = "proxy"
GUARD_CHAIN: Final = "guard"
OPERATOR_CHAIN: Final = "operator"
"""What root does by `hakoiri key`, with or without a server."""

CHAINS: Final = (SERVER_CHAIN, PROXY_CHAIN, GUARD_CHAIN, OPERATOR_CHAIN)
HEADS_DIRECTORY: Final = HEADS
KEEPER_DIRECTORY: Final = "keeper"
SHIPPER_DIRECTORY: Final = "shipper"


@dataclass(frozen=True, slots=True)
class AuditGround:
    """The directories of one instance's audit log."""

    root: Path

    @property
    def keeper(self) -> Path:
        """Where the key is that heads are signed with."""
        return self.root / KEEPER_DIRECTORY

    @property
    def heads(self) -> Path:
        """Where the signed heads are, for the shipper to read."""
        return self.root / HEADS_DIRECTORY

    @property
    def shipper(self) -> Path:
        """Where the shipper keeps how far each copy got."""
        return self.root / SHIPPER_DIRECTORY

    @property
    def chains(self) -> dict[str, Path]:
        """Where each chain is, by name."""
        return {name: self.root / name for name in CHAINS}

    def others(self, chain: str) -> tuple[Path, ...]:
        """Return all directories but that of one chain: those that its writer must not see."""
        return (
            self.keeper,
            self.heads,
            self.shipper,
            *(path for name, path in self.chains.items() if name != chain),
        )


def audit_ground(settings: Settings, instance: str) -> AuditGround | None:
    """Return where the instance's audit log lies; None if none is kept."""
    if not settings.audit.enabled:
        return None
    return AuditGround(settings.audit.dir / instance)


def make_directories(
    ground: AuditGround, *, writers: Mapping[str, int], keeper_uid: int, keeper_gid: int
) -> None:
    """Make what is missing; `writers` are user ids by chain. Raises `OSError`."""
    make_operator_directory(ground, keeper_gid=keeper_gid)
    _directory(ground.keeper, keeper_uid, keeper_gid, 0o700)
    _chain_directory(ground.heads, keeper_uid, keeper_gid)
    for name, uid in writers.items():
        _chain_directory(ground.chains[name], uid, keeper_gid)


def make_operator_directory(ground: AuditGround, *, keeper_gid: int) -> None:
    """Make what is missing for the chain that root writes. Raises `OSError`."""
    ground.root.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    _directory(ground.root, 0, 0, 0o711)
    _chain_directory(ground.chains[OPERATOR_CHAIN], 0, keeper_gid)


def _chain_directory(path: Path, uid: int, keeper_gid: int) -> None:
    # set-group-id: what a writer makes belongs to the keeper's group
    _directory(path, uid, keeper_gid, 0o2750)


def _directory(path: Path, uid: int, gid: int, mode: int) -> None:
    path.mkdir(exist_ok=True)
    os.chown(path, uid, gid, follow_symlinks=False)
    path.chmod(mode)
