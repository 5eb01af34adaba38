"""How long each workspace's newest work has waited for a recovery point, purely.

An idle container whose files are saved holds nothing of a turn or command that is not in its
recovery point; what they left running may write more, and is saved before it goes. Any other may:
since its newest save began, or since it was last seen idle, or since it was started.
"""

import math
from collections.abc import Iterable

from hakoiri.host.containers.gc import Member


class UnsavedAges:
    """Remembers, for each live workspace, until when all was saved; monotonic seconds."""

    def __init__(self) -> None:
        self._clean_until_s: dict[str, float] = {}

    def saved(self, workspace_id: str, *, began_s: float) -> None:
        """Say that a save that began then was committed."""
        before_s = self._clean_until_s.get(workspace_id, -math.inf)
        self._clean_until_s[workspace_id] = max(before_s, began_s)

    def look(self, members: Iterable[Member], *, now_s: float) -> list[float]:
        """Return the ages, in seconds, of workspaces in use or unsaved; forget who is gone."""
        kept: dict[str, float] = {}
        ages_s = []
        for member in members:
            clean_until_s = self._clean_until_s.get(member.workspace_id, -math.inf)
            if member.idle_since_s is not None and not member.is_unsaved:
                clean_until_s = now_s
            else:
                ages_s.append(max(0.0, now_s - max(clean_until_s, member.started_at_s)))
            kept[member.workspace_id] = clean_until_s
        self._clean_until_s = kept
        return ages_s
