"""Who owns what is in a box, as the host numbers users."""

from dataclasses import dataclass
from typing import Final

from hakoiri.wire.guard import CONTAINER_GID, CONTAINER_UID


@dataclass(frozen=True, slots=True)
class Owner:
    """The host's ids for the user that a box's processes run as."""

    uid: int
    gid: int


PLAIN: Final = Owner(CONTAINER_UID, CONTAINER_GID)
"""Where ids in a container are the host's own."""
