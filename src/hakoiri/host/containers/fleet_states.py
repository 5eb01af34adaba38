"""How many containers are in which state, purely, for the figures."""

from collections.abc import Iterable, Mapping

from hakoiri.host.containers.gc import Member
from hakoiri.host.containers.warm_pool import MemberState


def states_of(
    members: Iterable[Member], *, warm: Mapping[tuple[str, str], int], total: int
) -> dict[str, int]:
    """Count by state: `members` are claimed, `warm` the pool's by runtime and state.

    `total` has those, too, that are being started for a claim.
    """
    counts = {"busy": 0, "idle": 0, "paused": 0, "warm": 0, "retiring": 0, "starting": 0}
    for member in members:
        if member.is_frozen:
            counts["paused"] += 1
        elif member.idle_since_s is None:
            counts["busy"] += 1
        else:
            counts["idle"] += 1
    claimed = sum(counts.values())
    for (_, state), count in warm.items():
        if state == MemberState.STARTING:
            counts["starting"] += count
        elif state == MemberState.RETIRING:
            counts["retiring"] += count
        else:
            counts["warm"] += count
    counts["starting"] += max(0, total - claimed - sum(warm.values()))
    return counts
