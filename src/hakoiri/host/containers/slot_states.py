"""What has the places that containers may have, for the figures. Pure."""

from collections.abc import Iterable

from hakoiri.host.containers.gc import Member


def slot_states(
    members: Iterable[Member], *, occupied: int, warm: int, promised: int, free: int
) -> dict[str, int]:
    """Return the number of places in each state; `members` and `warm` are of those `occupied`.

    `promised` are places in which a container is being started for a claim.
    """
    claimed = list(members)
    busy = sum(member.idle_since_s is None for member in claimed)
    frozen = sum(member.is_frozen for member in claimed)
    return {
        "busy": busy,
        "idle": len(claimed) - busy - frozen,
        "frozen": frozen,
        "warm": warm,
        "starting": promised,
        "stopping": occupied - len(claimed) - warm,
        "free": free,
    }
