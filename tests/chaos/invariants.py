"""What must hold after a storm, judged by what the API and the host show. Pure.

Each check gives the violations that it finds; none means that all is well.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import dropwhile
from typing import Any, Final

from tests.chaos.endings import ENDS, unforeseen, untold
from tests.chaos.hits import LONG_S, Hit, never_hit
from tests.chaos.promises import Promises

Event = Mapping[str, Any]

ALL_LOST: Final = "all that changed since the last recovery point"
TAKEN_OVER: Final = "workspace-taken-over"
"""A notice with which a workspace loses as much, though no turn ran in it."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that does not hold; `conversation` is empty for what concerns none."""

    rule: str
    detail: str
    conversation: str = ""


def numbering(log: Sequence[Event]) -> Iterator[str]:
    """Events are numbered from 1 without gaps."""
    numbers = [event["id"] for event in log]
    wanted = list(range(1, len(log) + 1))
    if numbers != wanted:
        at = next(i for i, pair in enumerate(zip(numbers, wanted, strict=True)) if len({*pair}) > 1)
        yield f"event {wanted[at]} is numbered {numbers[at]}"


def turns(log: Sequence[Event]) -> Iterator[str]:
    """Turns follow each other, each from its message to its one `result` or `error`.

    A notice that tells of what happened between two turns counts to the one that comes next, which
    may never come (`between_turns`).
    """
    by_turn: dict[int, list[str]] = {}
    last = 0
    for event in log:
        if event["turn"] < last:
            yield f"event {event['id']} of turn {event['turn']} comes after turn {last}"
        last = max(last, event["turn"])
        by_turn.setdefault(event["turn"], []).append(event["type"])
    if list(by_turn) != list(range(1, len(by_turn) + 1)):
        yield f"turns are numbered {list(by_turn)}"
    for number, told in by_turn.items():
        types = [*dropwhile(lambda kind: kind == "notice", told)]
        if not types and number == last:
            continue
        if types[:1] != ["user_message"] or types.count("user_message") > 1:
            yield f"turn {number} does not begin with its one message: {types[:4]}"
        ends = [kind for kind in types if kind in ENDS]
        if len(ends) != 1 or types[-1] not in ENDS:
            yield f"turn {number} does not end with one result or error: {types[-4:]}"


def messages(log: Sequence[Event], promises: Promises) -> Iterator[str]:
    """What was acknowledged is there once, as it was told; what was refused is not there."""
    said = [event for event in log if event["type"] == "user_message"]
    times = Counter(event["data"]["text"] for event in said)
    places = {event["data"]["text"]: (event["turn"], event["id"]) for event in said}
    for sent in promises.sent:
        count = times[sent.text]
        if sent.outcome == "acknowledged" and count != 1:
            yield f"an acknowledged message is there {count} times: {sent.text!r}"
        elif count > (0 if sent.outcome == "refused" else 1):
            yield f"a message that was {sent.outcome} is there {count} times: {sent.text!r}"
        elif sent.outcome == "acknowledged" and places[sent.text] != (sent.turn, sent.event):
            told, found = (sent.turn, sent.event), places[sent.text]
            yield f"a message was acknowledged as {told} and is recorded as {found}: {sent.text!r}"
    for text in times.keys() - promises.texts():
        yield f"nobody said {text!r}"


def shown(log: Sequence[Event], seen: Iterable[Event]) -> Iterator[str]:
    """What a reader was shown, who asked on after each break, is what is recorded: all, once."""
    recorded = {event["id"]: event for event in log}
    for number, event in enumerate(seen, 1):
        if event["id"] != number:
            yield f"event {event['id']} was shown where {number} comes next"
            return
        if recorded.get(number) != event:
            yield f"event {number} was shown as {event} and is {recorded.get(number)}"


def told_once(histories: Iterable[Sequence[str]], texts: frozenset[str]) -> Iterator[str]:
    """The model, or the agent's memory, holds each message at most once.

    A history is all that the user said, as one request or one transcript holds it.
    """
    told: set[str] = set()
    for history in histories:
        for text, count in Counter(history).items():
            if text in texts and count > 1 and text not in told:
                told.add(text)
                yield f"the model was told {count} times: {text!r}"


def files(log: Sequence[Event], promises: Promises, stored: Mapping[str, bytes]) -> Iterator[str]:
    """What was acknowledged, or told by a command, is stored, unless it was told to be lost.

    `stored` are the contents that the API gives, by path.
    """
    lost = [line for event in log for line in event["data"].get("lost_paths", ())]
    was_taken_over = any(event["data"].get("code") == TAKEN_OVER for event in log)
    if was_taken_over or any(line.startswith(ALL_LOST) for line in lost):
        return
    answers = [event["data"]["text"] for event in log if event["type"] == "tool_result"]
    wanted: dict[str, bytes | None] = dict(promises.files)
    for wrote in promises.wrote:
        if any(wrote.word in answer.split() for answer in answers):
            wanted.setdefault(wrote.path, wrote.content)
    for path, content in wanted.items():
        if path in promises.doubtful or any(path in line for line in lost):
            continue
        found = stored.get(path)
        if found != content:
            yield f"{path} should be {_short(content)} and is {_short(found)}"


def leftovers(
    found: Mapping[str, Sequence[str]], *, while_what: str = "after the stop"
) -> list[Violation]:
    """Nothing is left on the host: `found` is what is, by kind."""
    return [
        Violation("left over", f"{kind}, {while_what}: {', '.join(names)}")
        for kind, names in found.items()
        if names
    ]


def struck(kinds: Iterable[str], hits: Sequence[Hit], *, seconds: float) -> list[Violation]:
    """Whatever a long storm was to strike was there at least once; a short one may miss."""
    missed = never_hit(kinds, hits) if seconds >= LONG_S else []
    return [Violation("struck", f"{kind}: nobody was there, each time") for kind in missed]


def flat(
    before: Mapping[str, Mapping[str, int]],
    after: Mapping[str, Mapping[str, int]],
    *,
    slack: Mapping[str, int],
) -> list[Violation]:
    """No process is missing, or holds more descriptors or threads than before, but for the slack.

    Both give counts by what is counted, by process. `slack` is by what is counted, too; that of
    `""` is for all that it does not name.
    """
    gone = [Violation("flat", f"{name} is not there") for name in sorted({*before} - {*after})]
    return gone + [
        Violation("flat", f"{process} has {count} {what} where it had {had.get(what, 0)}")
        for process, counts in after.items()
        for had in [before.get(process, {})]
        for what, count in counts.items()
        if count > had.get(what, 0) + slack.get(what, slack[""])
    ]


def judge(
    log: Sequence[Event],
    promises: Promises,
    *,
    stored: Mapping[str, bytes],
    told: Sequence[Sequence[str]],
    hits: Sequence[Hit] = (),
) -> list[Violation]:
    """Check all that concerns one conversation; `hits` are those of the whole storm."""
    found: dict[str, Iterable[str]] = {
        "numbering": numbering(log),
        "turns": turns(log),
        "unforeseen": unforeseen(
            log,
            hits=hits,
            interrupted=frozenset(promises.interrupted),
            is_chat=promises.is_chat,
        ),
        "untold": untold(log, hits),
        "messages": messages(log, promises),
        "shown": shown(log, promises.seen),
        "told once": told_once(told, promises.texts()),
        "files": files(log, promises, stored),
        "on the spot": promises.faults,
    }
    return [
        Violation(rule, detail, promises.conversation)
        for rule, details in found.items()
        for detail in details
    ]


def _short(content: bytes | None) -> str:
    if content is None:
        return "absent"
    return repr(content if len(content) <= 40 else content[:40] + b"...")
