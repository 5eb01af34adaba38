"""How turns may end in a storm, and what must be told of a container that died in one. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from tests.chaos.hits import Hit, within

Event = Mapping[str, Any]

TAKEN_UP_LIMIT: Final = 2
"""So often a turn is taken up in another container (docs/operations/recovery.md)."""

RESTART_LIMIT: Final = 5
"""So many servers a turn outlives."""

TAKEN_UP: Final = "turn-taken-up"

BOX: Final = ("container", "agent")
ENGINE: Final = ("engine",)
GUARD: Final = ("guard", "proxy with guard")
SERVER: Final = ("server", "all processes", "supervisor", "restart")
PROXY: Final = ("proxy", *SERVER)
"""The model of the rehearsal goes with the supervisor, too."""

STORE: Final = ("store",)
REDIS: Final = ("redis",)

FORESEEN: Final[Mapping[str, tuple[str, ...]]] = {
    "container-lost": (*BOX, *ENGINE, *GUARD, *SERVER),
    "container-start-failed": (*BOX, *ENGINE, *GUARD, *PROXY),
    "capacity": ENGINE,
    "files-unavailable": STORE,
    "files-not-saved": (*STORE, *BOX, *ENGINE, *GUARD, *SERVER),
    "workspace-busy": (*SERVER, *REDIS),
    # a supervisor that is killed takes the server along, which stops in order
    "server-stopped": ("restart", "supervisor"),
    "server-restarted": SERVER,
    "model-failed": PROXY,
    "model-stream-cut": PROXY,
    "model-unreachable": PROXY,
    "model-overloaded": PROXY,
    "model-access-denied": PROXY,
    "request-refused": PROXY,
    "agent-failed": BOX,
}
"""Which strikes make an ending legitimate: a code by the words with which their kinds begin.

What is not here is a fault whatever was struck: `internal`, an agent that is silent or breaks the
protocol (what dies does neither), damaged files, a record that failed (no storm strikes the
database), a turn that outlasts its time, a policy or a runtime that is refused.
"""

FELT: Final = timedelta(seconds=60)
"""How long after its end a strike may still be what ends a turn: things wait for each other."""

DEADLY: Final = frozenset({"container", "container's init", "container with init", "agent"})
DEAF: Final = timedelta(seconds=15)
"""A server that was struck so shortly before, or after, may not have heard what was said by then:
it stands still for 12 s at most, and a start takes a moment."""

LAG: Final = timedelta(seconds=1)
"""What is recorded so soon after a strike may have been said before it."""

SAID: Final = frozenset({"text_delta", "thinking_delta", "tool_use", "tool_result"})
ENDS: Final = frozenset({"result", "error"})


def unforeseen(
    log: Sequence[Event], *, hits: Sequence[Hit], interrupted: frozenset[int], is_chat: bool
) -> Iterator[str]:
    """No turn ends with an error for which the storm is no reason, or the user.

    `interrupted` are the turns that the user asked to end.
    """
    for turn in _turns(log):
        last, number = turn[-1], turn[-1]["turn"]
        recoveries = sum(event["type"] == "container_recovered" for event in turn)
        restarts = sum(event["data"].get("code") == TAKEN_UP for event in turn)
        if recoveries > TAKEN_UP_LIMIT + restarts:
            yield f"turn {number} was taken up {recoveries} times, with {restarts} restarts"
        if last["type"] != "error":
            continue
        code, ended = last["data"].get("code"), f"turn {number} ended with the error"
        if code == "interrupted":
            if number not in interrupted:
                yield f"{ended} `{code}`, and nobody had asked for that"
        elif code not in FORESEEN:
            yield f"{ended} `{code}`, for which no strike is a reason"
        elif not _struck(hits, turn, FORESEEN[code]):
            yield f"{ended} `{code}`, and nothing that is a reason for it was struck"
        elif code == "container-lost" and recoveries < TAKEN_UP_LIMIT:
            yield f"{ended} `{code}` after being taken up {recoveries} times"
        elif code == "server-restarted" and restarts < RESTART_LIMIT and not is_chat:
            yield f"{ended} `{code}` after {restarts} restarts"


def struck_at_work(log: Sequence[Event], hits: Sequence[Hit]) -> list[tuple[int, Hit]]:
    """Return the turns in whose container something died while a tool worked there, with the hit.

    Those alone of which that is sure: the tool had begun, its end was not told, and the server was
    there to hear it.
    """
    found = []
    for hit in hits:
        if hit.kind not in DEADLY or _was_deaf(hits, hit.at):
            continue
        found += [(turn[0]["turn"], hit) for turn in _turns(log) if _was_at_work(turn, hit)]
    return found


def untold(log: Sequence[Event], hits: Sequence[Hit]) -> Iterator[str]:
    """A turn whose container died under its tool does not go on without saying so."""
    turns = {turn[0]["turn"]: turn for turn in _turns(log)}
    for number, hit in struck_at_work(log, hits):
        later = [event for event in turns[number] if _time(event) > hit.at]
        is_told = any(event["type"] == "container_recovered" for event in later)
        if later and later[-1]["type"] == "result" and not is_told:
            yield f"turn {number} went on after its container {hit.boxes} died, and told nobody"


def _was_at_work(turn: Sequence[Event], hit: Hit) -> bool:
    before = [event for event in turn if _time(event) <= hit.at]
    soon = [event for event in turn if hit.at < _time(event) <= hit.at + LAG]
    homes = [event["data"].get("container") for event in before if event["type"] == "turn_started"]
    said = [event["type"] for event in before if event["type"] in SAID]
    return (
        homes[-1:] != []
        and homes[-1] in hit.boxes
        and said[-1:] == ["tool_use"]
        and not any(
            event["type"] in ENDS or event["type"] == "container_recovered" for event in before
        )
        and not any(event["type"] in (*SAID, *ENDS) for event in soon)
    )


def _was_deaf(hits: Sequence[Hit], at: datetime) -> bool:
    near = within(hits, at, at + DEAF, after=DEAF)
    return any(hit.kind.startswith(SERVER) for hit in near)


def _struck(hits: Sequence[Hit], turn: Sequence[Event], words: tuple[str, ...]) -> bool:
    felt = within(hits, _time(turn[0]), _time(turn[-1]), after=FELT)
    return any(hit.kind.startswith(words) for hit in felt)


def _turns(log: Sequence[Event]) -> list[list[Event]]:
    found: dict[int, list[Event]] = {}
    for event in log:
        found.setdefault(event["turn"], []).append(event)
    return list(found.values())


def _time(event: Event) -> datetime:
    return datetime.fromisoformat(event["time"])
