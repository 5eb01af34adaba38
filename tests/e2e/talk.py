"""A turn that runs while the test does something to it."""

import threading
from contextlib import suppress
from typing import Any, Final

from tests.e2e.running import Hakoiri, data_of
from tests.waiting import until

from hakoiri.cli.api_client import ApiError

END_S: Final = 180.0


class Talk:
    """A message that was sent; `events` are those that came until now."""

    def __init__(self, server: Hakoiri, conversation: str, text: str) -> None:
        self.events: list[dict[str, Any]] = []
        self._thread = threading.Thread(
            target=self._listen, args=(server, conversation, text), daemon=True
        )
        self._thread.start()

    def _listen(self, server: Hakoiri, conversation: str, text: str) -> None:
        with suppress(ApiError):  # the server went away, which some tests want; what came is judged
            for event in server.api.send(conversation, text):
                self.events.append(event)

    def until_seen(self, kind: str, count: int = 1) -> None:
        until(lambda: len(data_of(list(self.events), kind)) >= count)

    def until_tool_runs(self) -> None:
        self.until_seen("tool_use")

    def end(self) -> dict[str, Any]:
        """Wait for the last event, and return it."""
        self._thread.join(END_S)
        assert not self._thread.is_alive()
        return self.events[-1]
