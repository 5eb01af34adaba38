"""How far the agent's memory on the disk has come, so that no event runs ahead of it.

The `claude` process tells a tool's call and its result at once, but writes its transcript in
batches of about 0.1 s (seen with 2.1). The host takes a recovery point's event number from what it
was told, and its memory from the disk; so an event of a tool waits here until its entry is written.
The process itself does not wait.
"""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, Final

from claude_agent_sdk.types import SessionKey, SessionStoreEntry

from hakoiri.wire.events import AgentEvent, ToolResult, ToolUse

WAIT_LIMIT_S: Final = 1.0
"""Ten times what the process takes by itself; a loaded machine may need it."""

PATIENCE: Final = 3
"""So many waits in vain, and the process counts as one that does not tell: nobody waits again."""

_REMEMBERED: Final = 10_000
"""Entries in memory at most; the oldest are forgotten first."""

_Step = tuple[str, str]


class Transcript:
    """A session store in the SDK's sense that keeps nothing but which tools' entries were written.

    In flush mode `eager` the SDK calls `append` as soon as the process has told that it has written
    entries to its own file, which is the one that counts.
    """

    def __init__(self, *, wait_limit_s: float = WAIT_LIMIT_S) -> None:
        self._wait_limit_s = wait_limit_s
        self._written: dict[_Step, None] = {}
        self._grew = asyncio.Condition()
        self._in_vain = 0

    async def append(self, key: SessionKey, entries: list[SessionStoreEntry]) -> None:
        """Note what was written; called by the SDK."""
        del key
        async with self._grew:
            for entry in entries:
                self._written.update(dict.fromkeys(_steps(entry)))
            while len(self._written) > _REMEMBERED:
                del self._written[next(iter(self._written))]
            self._grew.notify_all()

    async def load(self, key: SessionKey) -> list[SessionStoreEntry] | None:
        """Know no session: the process resumes from its own file."""
        del key
        return None

    async def wait_for(self, event: AgentEvent) -> None:
        """Return once the entry of a tool's event is on the disk, or after the limit."""
        if not isinstance(event, (ToolUse, ToolResult)) or self._in_vain >= PATIENCE:
            return
        step = (event.type, event.tool_use_id)
        is_written: Callable[[], bool] = lambda: step in self._written  # noqa: E731
        try:
            async with asyncio.timeout(self._wait_limit_s), self._grew:
                await self._grew.wait_for(is_written)
        except TimeoutError:
            self._in_vain += 1
        else:
            self._in_vain = 0


def _steps(entry: Any) -> Iterator[_Step]:
    message = entry.get("message") if isinstance(entry, dict) else None
    content = message.get("content") if isinstance(message, dict) else None
    for block in content if isinstance(content, list) else ():
        match block:
            case {"type": "tool_use", "id": str(tool_use_id)}:
                yield "tool_use", tool_use_id
            case {"type": "tool_result", "tool_use_id": str(tool_use_id)}:
                yield "tool_result", tool_use_id
