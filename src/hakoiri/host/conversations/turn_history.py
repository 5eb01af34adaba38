"""How far a turn had come when its server went away, read from its log. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hakoiri.wire.events import ConversationEvent, Notice

RESTART_LIMIT: Final = 5
"""A turn that saw its server go away more often may be what ends it."""

RESTARTED: Final = Notice(
    code="turn-taken-up",
    text="The server that ran the turn was restarted or lost track of it; the turn goes on.",
)


TAKEN_OVER: Final = Notice(
    code="workspace-taken-over",
    text=(
        "The server that had this workspace is gone. It goes on elsewhere, from its last recovery "
        "point: what was changed since then, if anything, is lost."
    ),
)


@dataclass(frozen=True, slots=True)
class TurnHistory:
    """A turn as its log tells it.

    `generation` is that of the container it ran in last, None before it had one; `losses` counts
    the containers it lost, `restarts` the servers; up to `agent_seq` its agent was heard.
    `was_given_up`: another server took the workspace over from that container's, which was gone.
    """

    message: ConversationEvent
    generation: int | None
    losses: int
    restarts: int
    agent_seq: int
    was_given_up: bool = False

    @property
    def text(self) -> str:
        """What the user said."""
        return str(self.message.data["text"])


def read_history(milestones: Sequence[ConversationEvent], *, agent_seq: int) -> TurnHistory | None:
    """Return the turn's history; None if the user's message, with which it begins, is not there.

    Notices before it tell of what happened between two turns, and are none of the turn's.
    """
    began = next(
        (at for at, event in enumerate(milestones) if event.type != "notice"), len(milestones)
    )
    milestones = milestones[began:]
    if not milestones or milestones[0].type != "user_message":
        return None
    generation: int | None = None
    was_given_up = False
    for event in milestones:
        told = event.data.get("generation")
        if isinstance(told, int):
            generation, was_given_up = told, False
        elif event.data.get("code") == TAKEN_OVER.code:
            was_given_up = True
    return TurnHistory(
        message=milestones[0],
        generation=generation,
        losses=sum(event.type == "container_recovered" for event in milestones),
        restarts=sum(event.data.get("code") == RESTARTED.code for event in milestones),
        agent_seq=agent_seq,
        was_given_up=was_given_up,
    )
