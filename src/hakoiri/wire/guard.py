"""The control plane's conversation with the docker guard, over the guard's socket.

It is Docker's Engine API v1.41, narrowed to what the control plane needs, and answers of the engine
cut down to what it reads:

| call | answer |
|---|---|
| `GET /v1.41/info` | `{"Runtimes": {NAME: {}}, "SecurityOptions": ["name=…"]}`, names alone |
| `GET /v1.41/images/{reference}/json` | `{"Id": …}`, for the images the guard was told of |
| `GET /v1.41/containers/json?all=1&filters={"label":["hakoiri.instance=ID"]}` | ours |
| `POST /v1.41/containers/create?name=hakoiri-{id}` | `{"Id": …}`; only a sealed container |
| `GET /v1.41/containers/{name}/json` | `{"Id": …, "State": {…}}` |
| `POST /v1.41/containers/{name}/start`, `/stop?t=N`, `/pause`, `/unpause` | 204, 304 |
| `DELETE /v1.41/containers/{name}?force=1&v=1` | 204 |

and, of our own, the directories of a box, which must be there before its container is created, and
old images:

| call | answer |
|---|---|
| `PUT /boxes/{id}` | 201 with `BoxDirectories`; 409 if it is there, 507 if the disk is full |
| `GET /boxes/{id}` | `BoxDirectories`; 404 if there are none |
| `DELETE /boxes/{id}` | 204, also if it is gone |
| `GET /boxes` | `BoxList` |
| `DELETE /images/old` | `CollectedImages`: images of ours that nothing needs any more go |

A container's mounts name what they show (`SOURCE_*`), never a path: the guard puts in the paths
of what it made for that container. Errors are RFC 9457 problems (`hakoiri.wire.problems`).
"""

from typing import Annotated, Final

from pydantic import Field, StringConstraints

from hakoiri.wire import box
from hakoiri.wire.messages import Message

API_VERSION: Final = "v1.41"

LABEL_INSTANCE: Final = "hakoiri.instance"
LABEL_CONTAINER: Final = "hakoiri.container"
LABEL_IMAGE: Final = "hakoiri.image"
LABEL_RUNTIME: Final = "hakoiri.runtime"

CONTAINER_UID: Final = box.CONTAINER_UID
CONTAINER_GID: Final = box.CONTAINER_GID
"""The user in the box, by the box's own numbers."""

IMAGE_REPOSITORY: Final = "hakoiri/workspace"
BASE_REPOSITORY: Final = "hakoiri/base"
"""Where the images of `hakoiri image build` have their names, and what they are built on."""

CONTAINER_ID_PATTERN: Final = r"c[0-9a-f]{16}"

WORKSPACE_TARGET: Final = "/workspace"
HOME_TARGET: Final = "/home/agent"
AGENT_TARGET: Final = "/run/hakoiri/agent"
"""Where the box sees them; `wire.agent.PROXY_MOUNT` is where it sees the proxy's socket."""

SOURCE_WORKSPACE: Final = "workspace"
SOURCE_HOME: Final = "home"
SOURCE_PROXY: Final = "proxy"
SOURCE_AGENT: Final = "agent"

RUNSC_FLAGS: Final = ("--network=none", "--host-uds=all", "--oci-seccomp")
"""gVisor's runsc: no network stack of its own, Unix sockets across bind mounts (the only way out
of our containers), and the container's own filter on top. Source: `runsc flags`."""

ContainerId = Annotated[str, StringConstraints(pattern=f"^{CONTAINER_ID_PATTERN}$")]
HOST_ID_LIMIT: Final = 2**32 - 2
"""The highest id that a user can have (credentials(7))."""

HostId = Annotated[int, Field(ge=1, le=HOST_ID_LIMIT)]
_Path = Annotated[str, StringConstraints(pattern=r"^/", max_length=4096)]


def engine_name(container_id: str) -> str:
    """Return the name under which the engine knows the container."""
    return f"hakoiri-{container_id}"


class BoxDirectories(Message):
    """Where a box's writable directories, and that of its agent's socket, lie on this host.

    `owner_uid` and `owner_gid` are the host's numbers for the user in the box.
    """

    workspace: _Path
    home: _Path
    agent: _Path
    owner_uid: HostId
    owner_gid: HostId


class BoxList(Message):
    """The containers that have directories, and why no more can be made now, if that is so."""

    containers: list[ContainerId] = Field(max_length=100_000)
    trouble: str | None = Field(default=None, max_length=4096)


class CollectedImages(Message):
    """Names of images that were taken away, or why none can be."""

    removed: list[Annotated[str, StringConstraints(max_length=256)]] = Field(
        default_factory=list, max_length=1000
    )
    trouble: str | None = Field(default=None, max_length=4096)
