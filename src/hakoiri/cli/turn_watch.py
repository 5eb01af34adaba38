"""Saying something in a conversation from here, and watching the turn to its end."""

from contextlib import ExitStack

from hakoiri.cli import exit_codes
from hakoiri.cli.api_client import ApiClient
from hakoiri.cli.event_printer import EventPrinter
from hakoiri.cli.live_screen import screen
from hakoiri.cli.screen import complain, show_json
from hakoiri.cli.steady_events import Steady
from hakoiri.cli.waiting import waiting


def watch_turn(api: ApiClient, conversation: str, text: str, *, as_json: bool) -> int:
    """Post the message and show the turn's events; return the exit code. Raises `ApiError`."""
    last, seen = "", 0
    printer = EventPrinter(screen())
    try:
        with ExitStack() as shown:
            shown.enter_context(waiting("waiting for a box"))

            def tell(line: str) -> None:
                shown.close()
                printer.end_line()
                complain("", line)

            for event in Steady(api, tell=tell).turn(conversation, text):
                last, seen = event["type"], event["id"]
                if last != "user_message":
                    shown.close()
                if as_json:
                    show_json(event, indent=None)
                elif last != "user_message":
                    printer.show(event)
    except KeyboardInterrupt:
        printer.end_line()
        complain("", left_alone(conversation, seen=seen))
        return exit_codes.INTERRUPTED
    return 0 if last == "result" else 1


def left_alone(conversation: str, *, seen: int) -> str:
    """Say what becomes of a turn that is no longer watched; `seen` is its last event, or 0."""
    if not seen:
        return (
            "interrupted before the server answered; whether it has the message is told by "
            f"`hakoiri conversation events {conversation}`"
        )
    return (
        f"the turn goes on; watch on with `hakoiri conversation events {conversation} "
        f"--after {seen}`, end it with `hakoiri conversation interrupt {conversation}`"
    )
