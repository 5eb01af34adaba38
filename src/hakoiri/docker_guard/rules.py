"""What the guard lets through, said by whoever starts it; nothing of it comes over the socket."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from hakoiri.wire.messages import Message, Runtime

ImageId = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
"""An image by its content: no tag, which may name another image a moment later."""


def _is_confined(profile: str) -> str:
    """Refuse the engine's word for no profile at all."""
    if profile.lower() == "unconfined":
        raise ValueError("unconfined would open the box; name a loaded profile, or none")
    return profile


class LimitCeilings(Message):
    """The most that one container may get; a container may ask for less."""

    memory_mib: int = Field(ge=1)
    cpus: float = Field(gt=0)
    pids: int = Field(ge=1)
    tmp_mib: int = Field(ge=1)
    shm_mib: int = Field(ge=1)
    open_files: int = Field(ge=1)
    file_limit_bytes: int = Field(ge=1)


class DiskSize(Message):
    """How large one disk is; the file system's own tables are in `bytes`."""

    bytes: int = Field(ge=1)
    inodes: int = Field(ge=1)


class DiskRules(Message):
    """How large the disks of every box are, and what they leave of the host's."""

    workspace: DiskSize
    home: DiskSize
    floor_bytes: int = Field(ge=0)
    """No box is made while the host's disk has less free."""

    reserve: bool = False
    """Whether a box's whole disks are taken from the host's when it is made."""


class Rules(Message):
    """Whose containers, of which images, under which runtimes and profiles, how large."""

    instances: tuple[Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,64}$")], ...]
    images: dict[str, ImageId]
    """Which images are started: by the name that the server asks for, the id that it had when the
    guard was told of it. The engine is never asked again what a name means."""

    image_kept_days: float = Field(default=0, ge=0)
    """So long after its last use an image of ours stays; 0 means for ever."""

    runtimes: tuple[Runtime, ...]
    seccomp_profiles: dict[Runtime, str]
    """The filter's JSON for each runtime; a runtime without one starts nothing."""

    apparmor_profile: (
        Annotated[
            str, AfterValidator(_is_confined), StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,128}$")
        ]
        | None
    ) = None
    """What every container is put under; None leaves it to the engine's own."""

    ceilings: LimitCeilings


class GuardLaunch(Message):
    """All that the guard is told at its start. Paths are on the host."""

    socket: Path
    client_uids: tuple[int, ...]
    """The users whose processes may call, beside root."""

    engine: str
    """The engine's address, `unix:///…`."""

    tree: Path
    """Where boxes are made, as the server sees them; only root and the guard may write there."""

    disks: Path
    """Where the boxes' disks lie, and the engine finds them mounted; root's and the guard's too."""

    disk_rules: DiskRules

    proxy_sockets: Path | None
    """Where the credential proxy makes a directory for each container."""

    proxy_uid: int
    audit_dir: Path | None = None
    """Where its audit log is written; absent means none."""

    audit_goes_on: bool = False
    """Whether containers are made that cannot be recorded."""

    rules: Rules
