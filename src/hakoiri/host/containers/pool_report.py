"""How a runtime's pool fares, in words, purely."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from hakoiri.host.containers.warm_pool import Member, MemberState
from hakoiri.wire.pool import PoolRuntimeReport, PoolSize

NO_POOL: Final = PoolSize(min=0, target=0, max=0)


def report_of(members: Iterable[Member], *, size: PoolSize, failures: int) -> PoolRuntimeReport:
    """Tell of one shape's members; `failures` are the starts that failed in a row."""
    counts = Counter(member.state for member in members)
    ready = counts[MemberState.READY]
    told = PoolRuntimeReport(
        state="full",
        ready=ready,
        starting=counts[MemberState.STARTING],
        retiring=counts[MemberState.RETIRING],
        target=size.target,
    )
    if size.target == 0:
        return told.model_copy(update={"state": "off", "reason": "its target is 0"})
    if failures:
        reason = f"{failures} starts in a row failed; the server's log says why"
        return told.model_copy(update={"state": "failing", "reason": reason})
    if ready < size.target:
        reason = f"{ready} of {size.target} are ready"
        return told.model_copy(update={"state": "refilling", "reason": reason})
    return told
