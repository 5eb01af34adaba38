"""Events as a person reads them in a terminal. What a container said is printed harmless."""

from typing import Any, Final

from rich.console import Console
from rich.markup import escape

from hakoiri.cli.plain_text import plain

LINES: Final = {
    "user_message": "[bold cyan]you[/]    {text}",
    "queued": "[dim]wait   place {position} of {waiting}, for want of {reason}[/]",
    "turn_started": "[dim]box    {container} ({start}, generation {generation})[/]",
    "tool_use": "[yellow]{name}[/]   {command}",
    "tool_result": "[dim]{text}[/]",
    "file_synced": "[dim]saved  {recovery_point} (+{uploaded})[/]",
    "notice": "[magenta]note   {code}: {text}[/]",
    "error": "[red]error  {code}: {text}[/]",
}
"""One line a type, in rich's markup; `result` repeats the text that was streamed already."""


class EventPrinter:
    """Prints a conversation's events as they come."""

    def __init__(self, console: Console) -> None:
        """Print to the console."""
        self._console = console
        self._in_text = False

    def show(self, event: dict[str, Any]) -> None:
        """Print one event."""
        kind, data = event["type"], event["data"]
        if kind in {"text_delta", "thinking_delta"}:
            style = "dim italic" if kind == "thinking_delta" else ""
            self._console.print(escape(plain(data["text"])), end="", style=style)
            self._in_text = True
            return
        self._end_text()
        line = _line(kind, data)
        if line:
            self._console.print(line)

    def _end_text(self) -> None:
        if self._in_text:
            self._console.print()
            self._in_text = False


def _line(kind: str, data: dict[str, Any]) -> str:
    template = LINES.get(kind)
    if template is None or (kind == "turn_started" and not data["container"]):
        return ""
    said = {name: escape(plain(str(value)).rstrip()) for name, value in data.items()}
    if kind == "tool_use":
        command = data["input"].get("command") or data["input"]
        said["command"] = escape(plain(str(command)))
    return template.format(**said)
