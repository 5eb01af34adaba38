"""What an operator can set of the processes beside the control plane, and of who they run as."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from hakoiri.host.settings_section import Section


class ProxySettings(Section):
    """Where the credential proxy's own files are; the server reads none of them.

    Root alone writes `file` and `env_file`; below `state_dir` the proxy keeps what outlives it.
    """

    file: Path = Path("/etc/hakoiri/proxy.toml")
    env_file: Path = Path("/etc/hakoiri/proxy.env")
    state_dir: Path = Path("/var/lib/hakoiri-proxy")


class GuardSettings(Section):
    """The docker guard, which alone may open the engine's socket."""

    live_dir: Path = Path("/var/lib/hakoiri-live")
    """Below it lie the files of live containers; root's and the guard's to write."""

    disk_floor_mib: int = Field(default=2048, ge=0, le=1_048_576)
    """No container is made while the disk of `live_dir` has less free."""

    reserve_disk: bool = False
    """Take a container's whole disks from the host's when it is made, not as they fill."""


class AuditSettings(Section):
    """The audit log: one chain for each process, and the keeper that signs how far each got."""

    enabled: bool = True
    dir: Path = Path("/var/log/hakoiri")
    """Below it each instance has a directory; root's."""

    when_unavailable: Literal["refuse", "continue"] = "refuse"
    """What becomes of turns, containers and requests while they cannot be recorded."""

    ship_file: Path | None = None
    """TOML, root's alone: where the log is copied to; absent means nowhere."""

    @property
    def goes_on(self) -> bool:
        """Whether what cannot be recorded is begun all the same."""
        return self.when_unavailable == "continue"

    @model_validator(mode="after")
    def _there_is_something_to_ship(self) -> Self:
        if self.ship_file is not None and not self.enabled:
            raise ValueError(
                "ship_file: no audit log is kept; leave enabled on, or unset ship_file"
            )
        return self


class UserSettings(Section):
    """The system users that the processes run as; `make` creates them."""

    server: str = "hakoiri"
    proxy: str = "hakoiri-proxy"
    guard: str = "hakoiri-guard"
    audit: str = "hakoiri-audit"
    audit_reader: str = "hakoiri-reader"
    audit_shipper: str = "hakoiri-shipper"
