"""What is told of each kind of event, purely: a label, its colour, and words."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from hakoiri.cli.sizes import shown_size

LISTED_PATHS: Final = 5
"""Of paths that were lost or left out, so many are named."""

WANTS: Final = {
    "places": "a free place",
    "memory": "free memory on the host",
    "services": "the engine, the guard or the proxy to answer",
}
"""What a turn can wait for."""

Data = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """Words beside a label; `style` is rich's, and of the words too if `is_styled`."""

    label: str
    words: str
    style: str = "dim"
    is_styled: bool = True


def line_of(kind: str, data: Data) -> Line | None:
    """Return what is told of an event; None if nothing is, or its kind is not known here."""
    if kind == "user_message":
        return Line("you", str(data.get("text", "")), "bold cyan", is_styled=False)
    told = _TOLD.get(kind)
    return told(data) if told is not None else None


def _queued(data: Data) -> Line:
    reason = data.get("reason", "")
    return Line(
        "wait",
        f"place {data.get('position')} of {data.get('waiting')}, "
        f"for {WANTS.get(reason, reason)}; {data.get('limit_s', 0):g} s at most",
    )


def _turn_started(data: Data) -> Line | None:
    if not data.get("container"):
        return None  # a chat
    generation = data.get("generation")
    return Line("box", f"{data['container']} ({data.get('start')}, generation {generation})")


def _tool_use(data: Data) -> Line:
    given = data.get("input") or {}
    words = given.get("command") if isinstance(given, Mapping) else None
    return Line(str(data.get("name", "tool")), str(words or given), "yellow", is_styled=False)


def _tool_result(data: Data) -> Line:
    text = str(data.get("text", "")).rstrip()
    cut = "\n(cut here)" if data.get("truncated") else ""
    if data.get("is_error"):
        return Line("failed", f"{text}{cut}" or "without a word", "red")
    return Line("", f"{text}{cut}" or "(no output)")


def _file_synced(data: Data) -> Line:
    uploaded, deleted = data.get("uploaded", 0), data.get("deleted", 0)
    size = shown_size(data.get("uploaded_bytes", 0))
    gone = f", {deleted} gone" if deleted else ""
    left_out = _paths("not saved", data.get("left_out"))
    return Line(
        "saved", f"{data.get('recovery_point')} ({uploaded} written, {size}{gone}){left_out}"
    )


def _recovered(data: Data) -> Line:
    return Line(
        "again",
        f"the container was lost ({data.get('reason')}); a new one goes on, "
        f"generation {data.get('generation')}{_paths('lost', data.get('lost_paths'))}",
        "magenta",
    )


def _notice(data: Data) -> Line:
    return Line("note", f"{data.get('code')}: {data.get('text')}", "magenta")


def _result(data: Data) -> Line:
    usage = data.get("usage") or {}
    parts = [f"{data.get('duration_ms', 0) / 1000:.1f} s"]
    read, wrote = usage.get("input_tokens", 0), usage.get("output_tokens", 0)
    if read or wrote:
        parts.append(f"{read} tokens in, {wrote} out")
    if (reason := data.get("stop_reason")) not in (None, "end_turn"):
        parts.append(f"ended by {reason}")
    return Line("done", "; ".join(parts))


def _error(data: Data) -> Line:
    return Line("error", f"{data.get('code')}: {data.get('text')}", "red")


def _paths(what: str, paths: Any) -> str:
    if not paths:
        return ""
    more = len(paths) - LISTED_PATHS
    shown = ", ".join(str(path) for path in paths[:LISTED_PATHS])
    return f"; {what}: {shown}" + (f" and {more} more" if more > 0 else "")


_TOLD: Final[dict[str, Callable[[Data], Line | None]]] = {
    "queued": _queued,
    "turn_started": _turn_started,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
    "file_synced": _file_synced,
    "container_recovered": _recovered,
    "notice": _notice,
    "result": _result,
    "error": _error,
}
"""All kinds but what comes in pieces, and what the user said."""
