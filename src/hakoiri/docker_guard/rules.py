"""What the guard lets through, said by whoever starts it; nothing of it comes over the socket."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from hakoiri.wire.messages import Message

Runtime = Literal["runc", "runsc"]


class LimitCeilings(Message):
    """The most that one container may get; a container may ask for less."""

    memory_mib: int = Field(ge=1)
    cpus: float = Field(gt=0)
    pids: int = Field(ge=1)
    tmp_mib: int = Field(ge=1)
    shm_mib: int = Field(ge=1)
    open_files: int = Field(ge=1)
    file_limit_bytes: int = Field(ge=1)


class Rules(Message):
    """Whose containers, of which images, under which runtimes and profiles, how large."""

    instances: tuple[Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,64}$")], ...]
    images: tuple[str, ...]
    """References that the engine resolves; only their content ids are started."""

    runtimes: tuple[Runtime, ...]
    seccomp_profiles: dict[Runtime, str]
    """The filter's JSON for each runtime; a runtime without one starts nothing."""

    apparmor_profile: str | None = None
    ceilings: LimitCeilings


class GuardLaunch(Message):
    """All that the guard is told at its start. Paths are on the host."""

    socket: Path
    client_uids: tuple[int, ...]
    """The users whose processes may call, beside root."""

    engine: str
    """The engine's address, `unix:///…`."""

    tree: Path
    """Where boxes are made; only root and the guard may write there."""

    proxy_sockets: Path | None
    """Where the credential proxy makes a directory for each container."""

    proxy_uid: int
    audit_dir: Path | None = None
    """Where its audit log is written; absent means none."""

    rules: Rules
