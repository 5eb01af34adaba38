"""What an operator can set of a box: its image and runtime, its limits, how long it is kept."""

from pathlib import Path
from typing import Final, Self, get_args

from pydantic import Field, field_validator, model_validator

from hakoiri.host.settings_section import Section
from hakoiri.wire.keeping import DAY_S, LIFETIME_MAX_S, LIFETIME_MIN_S
from hakoiri.wire.messages import Runtime

INODES_A_MIB: Final = 256
"""One for each block of 4 KiB, of which each takes 256 bytes."""


class ContainerSettings(Section):
    """The box. Values may tighten it; nothing here can open it."""

    runtime: Runtime = "runc"
    runtimes: str | None = Field(default=None, pattern=r"^(runc|runsc)(,(runc|runsc))*$")
    """Which ones a conversation may ask for, as `runc,runsc`; absent means the one above alone."""

    image: str | None = None
    """Image id or tag; absent means the one that this version's `hakoiri image build` makes."""

    image_public_key: Path | None = None
    """PEM of an Ed25519 key; with one set, only an image that it signed is run."""

    image_signatures: Path = Path("/etc/hakoiri/images")
    """Where `hakoiri image sign` puts an image's signature and bill of materials."""

    image_kept_days: float = Field(default=30, ge=0, le=3650)
    """So long after its last use an image of `hakoiri image build` stays; 0 means for ever."""

    seccomp_profile: Path | None = None
    """Absent means the profile that ships; another may be narrower, not open what that closes."""

    apparmor_profile: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_.-]{1,128}$")
    """Name of a loaded profile; absent means the engine's own, `unconfined` is refused."""

    memory_mib: int = Field(default=2048, ge=256, le=1_048_576)
    cpus: float | None = Field(default=None, gt=0, le=1024)
    """Absent means half of the host's processors, at least one and at most two."""

    pids: int = Field(default=512, ge=32, le=4096)
    tmp_mib: int = Field(default=512, ge=16, le=65_536)
    shm_mib: int = Field(default=64, ge=1, le=4096)
    open_files: int = Field(default=4096, ge=256, le=65_536)
    workspace_mib: int = Field(default=4096, ge=16, le=65_536)
    workspace_inodes: int = Field(default=160_000, ge=256, le=16_777_216)
    home_mib: int = Field(default=1024, ge=16, le=65_536)
    home_inodes: int = Field(default=40_000, ge=256, le=16_777_216)
    """Hard quotas, each a disk of its own: a full workspace leaves the agent's memory room."""

    start_timeout_s: float = Field(default=60, gt=0, le=600)
    stop_grace_s: float = Field(default=3, ge=0, le=60)
    idle_timeout_s: float = Field(default=1800, ge=1, le=DAY_S)
    """A container whose conversation is silent this long is removed; its workspace stays."""

    idle_timeout_max_s: float | None = Field(default=None, ge=1, le=DAY_S)
    """What a policy may ask for instead; absent means that it can only ask for less."""

    pause_after_s: float = Field(default=120, ge=0, le=DAY_S)
    """A container that is idle this long is frozen until the next message; 0 means never."""

    lifetime_s: float = Field(default=28_800, ge=LIFETIME_MIN_S, le=LIFETIME_MAX_S)
    """A container older than this is removed at its next pause; its workspace stays."""

    probe_at_start: bool = True
    """Whether a box is tried from inside when the server starts; `/ready` tells what was found."""

    limit: int = Field(default=32, ge=1, le=10_000)
    """Containers at once; beyond it a warm one gives way, then an idle one; else a claim waits."""

    @property
    def allowed_runtimes(self) -> tuple[Runtime, ...]:
        """Every runtime that containers of this server may have, the usual one first."""
        named = (self.runtimes or "").split(",")
        return (
            self.runtime,
            *(one for one in get_args(Runtime) if one in named and one != self.runtime),
        )

    @field_validator("apparmor_profile")
    @classmethod
    def _is_confined(cls, value: str | None) -> str | None:
        if value == "unconfined":
            raise ValueError("unconfined would open the box; name a loaded profile, or none")
        return value

    @model_validator(mode="after")
    def _a_policy_may_ask_for_the_usual(self) -> Self:
        most_s = self.idle_timeout_max_s
        if most_s is not None and most_s < self.idle_timeout_s:
            raise ValueError(
                f"idle_timeout_max_s: {most_s:g} is less than idle_timeout_s, "
                f"{self.idle_timeout_s:g}; raise it, or leave it out"
            )
        return self

    @model_validator(mode="after")
    def _inodes_leave_room(self) -> Self:
        for name in ("workspace", "home"):
            mib, inodes = getattr(self, f"{name}_mib"), getattr(self, f"{name}_inodes")
            if inodes > mib * INODES_A_MIB:
                raise ValueError(
                    f"{name}_inodes: {inodes} are too many for {mib} MiB; name at most "
                    f"{mib * INODES_A_MIB}, or raise {name}_mib"
                )
        return self
