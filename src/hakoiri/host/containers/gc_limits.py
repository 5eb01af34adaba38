"""How long containers are kept, as the settings want it."""

from typing import Final

from hakoiri.host.containers.gc import GcLimits
from hakoiri.host.settings import Settings

STRAY_GRACE_S: Final = 60.0
"""Added to the longest start: nothing that somebody may still be about is taken for a stray."""


def gc_limits(settings: Settings) -> GcLimits:
    """Return what the settings say."""
    given = settings.container
    return GcLimits(
        idle_timeout_s=given.idle_timeout_s,
        idle_timeout_max_s=given.idle_timeout_max_s or given.idle_timeout_s,
        lifetime_s=given.lifetime_s,
        pause_after_s=given.pause_after_s or None,
        # longer than any start or removal that somebody else may be about
        stray_grace_s=given.start_timeout_s + STRAY_GRACE_S,
    )
