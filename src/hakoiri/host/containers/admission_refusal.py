"""What a claim that gets no place is told: why, when to come again, and the mend. Pure."""

from typing import Final, Literal

from hakoiri.host.containers.admission import Refusal
from hakoiri.host.containers.ports import (
    CapacityError,
    ContainersError,
    StoppingError,
    WorkspaceGoneError,
)

WHY: Final = {
    Refusal.LINE_FULL: "as many claims wait as may (HAKOIRI_ADMISSION__QUEUE_LIMIT)",
    Refusal.TENANT_FULL: "as many of this tenant's wait as may (HAKOIRI_ADMISSION__TENANT_LIMIT)",
    Refusal.WAITED: "none became free in time (HAKOIRI_ADMISSION__WAIT_S)",
}


def refusal_error(
    refusal: Refusal, *, slots: int, reason: Literal["places", "memory"], retry_after_s: int
) -> ContainersError:
    """Return the error that tells a refusal; `reason` is what there is too little of."""
    if refusal is Refusal.STOPPING:
        return StoppingError("the server is stopping; try again when it is back")
    if refusal is Refusal.GONE:
        return WorkspaceGoneError("the workspace was killed while this waited for a container")
    lacking = {
        "memory": "the host is short of memory",
        "places": f"all {slots} containers are in use",
    }[reason]
    return CapacityError(
        f"{lacking}, and {WHY[refusal]}; try again in {retry_after_s} s, "
        "or raise HAKOIRI_CONTAINER__LIMIT",
        retry_after_s=retry_after_s,
    )
