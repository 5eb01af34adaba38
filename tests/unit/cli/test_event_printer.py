import io

from rich.console import Console

from hakoiri.cli.event_printer import EventPrinter


def test_a_turn_that_waits_says_where_it_stands() -> None:
    shown = io.StringIO()
    printer = EventPrinter(Console(file=shown, width=200))
    data = {"position": 2, "waiting": 5, "reason": "places", "limit_s": 60.0}
    printer.show({"type": "queued", "data": data})
    assert shown.getvalue() == "wait   place 2 of 5, for want of places\n"
