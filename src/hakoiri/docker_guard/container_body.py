"""The body of `POST /containers/create`, as a closed model: what is not here cannot be asked for.

Every field must be there, spelled like this, with the one value that the box has, or a bounded one.
Source of names and meanings: Docker Engine API v1.41 `ContainerCreate`.
"""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from hakoiri.docker_guard.rules import ImageId
from hakoiri.wire.agent import PROXY_MOUNT
from hakoiri.wire.guard import (
    AGENT_TARGET,
    HOME_TARGET,
    SOURCE_AGENT,
    SOURCE_HOME,
    SOURCE_PROXY,
    SOURCE_WORKSPACE,
    WORKSPACE_TARGET,
)

TMP_OPTIONS: Final = (
    r"^rw,exec,nosuid,nodev,mode=1777,size=(?P<size>[1-9][0-9]{0,8})m"
    r",nr_inodes=(?P<inodes>[1-9][0-9]{0,12})$"
)


def _no_number_for_a_bool(value: object) -> object:
    """Refuse 0 for false and 1 for true, which are equal in Python."""
    if not isinstance(value, bool):
        raise ValueError("true or false")  # noqa: TRY004 - what pydantic makes a fault of the field
    return value


def _whole(value: object) -> object:
    """Refuse 500.0 for 500, which are equal in Python."""
    if type(value) is not int:
        raise ValueError("a whole number")
    return value


_On = Annotated[Literal[True], BeforeValidator(_no_number_for_a_bool)]
_Off = Annotated[Literal[False], BeforeValidator(_no_number_for_a_bool)]
_OomScore = Annotated[Literal[500], BeforeValidator(_whole)]
_CpuShares = Annotated[Literal[128], BeforeValidator(_whole)]
_Count = Annotated[int, Field(ge=1, le=2**62)]
_Label = Annotated[str, StringConstraints(max_length=128)]
_Variable = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}=[^\x00\r\n]*$", max_length=4096)
]
_Nothing = Annotated[list[str], Field(max_length=0)]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Labels(_Closed):
    """Ours, all four, and no other."""

    instance: _Label = Field(alias="hakoiri.instance")
    container: _Label = Field(alias="hakoiri.container")
    image: _Label = Field(alias="hakoiri.image")
    runtime: _Label = Field(alias="hakoiri.runtime")


class Ulimit(_Closed):
    """One of the three; soft and hard are equal."""

    Name: Literal["nofile", "core", "fsize"]
    Soft: Annotated[int, Field(ge=0, le=2**62)]
    Hard: Annotated[int, Field(ge=0, le=2**62)]


class _BindOptions(_Closed):
    Propagation: Literal["rprivate"]


class WritableMount(_Closed):
    """A directory of the box, named; the guard knows its path."""

    Type: Literal["bind"]
    Source: Literal["workspace", "home", "agent"]
    Target: Literal["/workspace", "/home/agent", "/run/hakoiri/agent"]
    ReadOnly: _Off
    BindOptions: _BindOptions


class ProxyMount(_Closed):
    """The proxy socket's directory, which the box can only read."""

    Type: Literal["bind"]
    Source: Literal["proxy"]
    Target: Literal["/run/hakoiri/proxy"]
    ReadOnly: _On
    BindOptions: _BindOptions


class _RestartPolicy(_Closed):
    Name: Literal["no"]


class _LogOptions(_Closed):
    max_size: Literal["1m"] = Field(alias="max-size")
    max_file: Literal["1"] = Field(alias="max-file")


class _LogConfig(_Closed):
    Type: Literal["json-file"]
    Config: _LogOptions


class Tmpfs(_Closed):
    """The one memory file system that a box has."""

    tmp: Annotated[
        str,
        StringConstraints(pattern=TMP_OPTIONS),
    ] = Field(alias="/tmp")  # noqa: S108 - the container's own


class HostConfig(_Closed):
    """How the engine seals the container."""

    Runtime: Literal["runc", "runsc"]
    NetworkMode: Literal["none"]
    ReadonlyRootfs: _On
    Privileged: _Off
    CapDrop: Annotated[list[Literal["ALL"]], Field(min_length=1, max_length=1)]
    CapAdd: _Nothing
    SecurityOpt: Annotated[list[str], Field(min_length=2, max_length=3)]
    IpcMode: Literal["private"]
    PidMode: Literal[""]
    UTSMode: Literal[""]
    CgroupnsMode: Literal["private"]
    UsernsMode: Literal[""]
    Devices: _Nothing
    DeviceCgroupRules: _Nothing
    DeviceRequests: _Nothing
    MaskedPaths: Annotated[list[str], Field(max_length=4096)]
    ReadonlyPaths: Annotated[list[str], Field(max_length=4096)]
    PidsLimit: _Count
    Memory: _Count
    MemorySwap: _Count
    NanoCpus: _Count
    CpuShares: _CpuShares
    OomScoreAdj: _OomScore
    Ulimits: Annotated[list[Ulimit], Field(min_length=3, max_length=3)]
    Tmpfs: Tmpfs
    ShmSize: _Count
    Init: _On
    RestartPolicy: _RestartPolicy
    AutoRemove: _Off
    LogConfig: _LogConfig
    Mounts: Annotated[list[WritableMount | ProxyMount], Field(min_length=4, max_length=4)]


class ContainerBody(_Closed):
    """A sealed container."""

    Image: ImageId
    User: Literal["1000:1000"]
    Hostname: Literal["workspace"]
    WorkingDir: Literal["/workspace"]
    Env: Annotated[list[_Variable], Field(max_length=64)]
    Labels: Labels
    NetworkDisabled: _On
    OpenStdin: _Off
    Tty: _Off
    HostConfig: HostConfig


TARGETS: Final = {
    SOURCE_WORKSPACE: WORKSPACE_TARGET,
    SOURCE_HOME: HOME_TARGET,
    SOURCE_AGENT: AGENT_TARGET,
    SOURCE_PROXY: PROXY_MOUNT,
}
"""Where each source is seen in the box; literals above must agree, which a test checks."""
