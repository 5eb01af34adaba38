"""What a box looks like to whoever is in it: users, places, kinds of namespaces.

Names and numbers alone, without a library: the probe reads them, and what it loads under gVisor
takes longer than what it tries.
"""

from typing import Final, Literal

CONTAINER_UID: Final = 1000
CONTAINER_GID: Final = 1000
"""The user in the box, by the box's own numbers."""

AGENT_SOCKET_NAME: Final = "agent.sock"
PROXY_MOUNT: Final = "/run/hakoiri/proxy"
PROXY_SOCKET_NAME: Final = "proxy.sock"
CA_BUNDLE_NAME: Final = "ca.pem"

Namespace = Literal["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"]
"""The kinds of namespaces(7), as `/proc/PID/ns` names them."""
