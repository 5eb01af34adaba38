"""Which reply a request gets, with its placeholders filled. Pure."""

import re
import shlex
from dataclasses import dataclass
from typing import Final

from pydantic import JsonValue

from hakoiri.rehearsal.messages import Cue
from hakoiri.rehearsal.script import PLACEHOLDER, Cut, Failure, Reply, Scene, Script, ToolCall

VALUE_LIMIT_CHARS: Final = 10_000
"""A placeholder's value is cut to this: a shell argument may have 128 KiB, quoting included."""

MATCH_LIMIT_CHARS: Final = 10_000
"""`when` looks at no more of a user text, so that a slow regex stays bounded."""

AFTER_THE_LAST: Final = "The rehearsal script has no further reply for this turn."
NO_SCENE: Final = "No scene of the rehearsal script matches this text, and none is the default."


@dataclass(frozen=True, slots=True)
class Playback:
    """One reply, ready to be sent. `scene` and `reply_number` say where it stands in the script."""

    scene: str
    reply_number: int | None
    say: str
    think: str = ""
    use: tuple[ToolCall, ...] = ()
    delay_s: float = 0
    delta_delay_s: float = 0
    failure: Failure | None = None
    cut_after_deltas: int | None = None


def choose(script: Script, cue: Cue, *, attempt: int) -> Playback:
    """The reply to the `attempt`-th try (from 0) of the request at `cue`."""
    number, scene = _scene_for(script, cue.user_text)
    if not cue.has_tools and (scene is None or scene.when is None):
        return Playback(
            scene="without_tools", reply_number=None, say=_fill(script.without_tools, cue)
        )
    if scene is None:
        return Playback(scene="", reply_number=None, say=NO_SCENE)
    name = scene.name or f"scene {number}"
    # A request that offers no tools can only be told something.
    replies = [r for r in scene.replies if cue.has_tools or not r.use]
    if cue.reply_number >= len(replies):
        return Playback(scene=name, reply_number=None, say=AFTER_THE_LAST)
    return _play(replies[cue.reply_number], cue, scene=name, attempt=attempt)


def _scene_for(script: Script, text: str) -> tuple[int, Scene | None]:
    default: tuple[int, Scene | None] = (-1, None)
    text = text[:MATCH_LIMIT_CHARS]
    for number, scene in enumerate(script.scenes):
        if scene.when is None:
            default = (number, scene)
        elif scene.when.contains is not None:
            if scene.when.contains.casefold() in text.casefold():
                return number, scene
        elif re.search(scene.when.regex or "", text):
            return number, scene
    return default


def _play(reply: Reply, cue: Cue, *, scene: str, attempt: int) -> Playback:
    return Playback(
        scene=scene,
        reply_number=cue.reply_number,
        say=_fill(reply.say or "", cue),
        think=_fill(reply.think or "", cue),
        use=tuple(
            ToolCall(tool=call.tool, input={k: _fill_json(v, cue) for k, v in call.input.items()})
            for call in reply.use
        ),
        delay_s=reply.delay_s,
        delta_delay_s=reply.delta_delay_s,
        failure=reply.error if _is_due(reply.error, attempt) else None,
        cut_after_deltas=(
            reply.cut_after.after_deltas
            if reply.cut_after and _is_due(reply.cut_after, attempt)
            else None
        ),
    )


def _is_due(fault: Failure | Cut | None, attempt: int) -> bool:
    return fault is not None and (fault.times is None or attempt < fault.times)


def _fill_json(value: JsonValue, cue: Cue) -> JsonValue:
    if isinstance(value, str):
        return _fill(value, cue)
    if isinstance(value, list):
        return [_fill_json(item, cue) for item in value]
    if isinstance(value, dict):
        return {key: _fill_json(item, cue) for key, item in value.items()}
    return value


def _fill(text: str, cue: Cue) -> str:
    def value_of(match: re.Match[str]) -> str:
        value = str(getattr(cue, match[1]))[:VALUE_LIMIT_CHARS]
        # NUL cannot stand in an argument; execve would refuse the whole command.
        return shlex.quote(value.replace("\0", "")) if match[2] else value

    return PLACEHOLDER.sub(value_of, text)
