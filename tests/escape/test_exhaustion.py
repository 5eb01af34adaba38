"""One box uses up all that it can; its neighbour's turn must end, with the right result.

And the bomb must have gone off: it says what stopped it, and that must be what is there to stop it.
"""

import os
from typing import Final

import pytest
from tests.escape.bombs import BOMBS, stopped_by
from tests.escape.conftest import Tell
from tests.escape.installation import Installation
from tests.escape.neighbours import Beside, beside

from hakoiri.host.containers.box import box_cpus

pytestmark = [pytest.mark.engine, pytest.mark.root, pytest.mark.attack("resource-exhaustion")]

MEASURED_WITHIN: Final = 1.1


@pytest.mark.parametrize("name", BOMBS)
def test_the_neighbour_of_a_bomb_gets_its_right_answer(
    place: Installation, name: str, tell: Tell
) -> None:
    bomb = BOMBS[name]
    found = beside(place, bomb.command)
    last = found.events[-1]
    ended = last["data"]["code"] if last["type"] == "error" else last["type"]
    stopped = stopped_by(bomb, place.runtime, found.events)
    if bomb.is_throttled and stopped:
        stopped = throttled_to(found)
    expected = f"{', '.join(sorted(bomb.stops)) or 'its processors'}"
    tell(
        f"{name}, beside a neighbour",
        command=bomb.command,
        expected=f"stopped by one of: {expected}; the neighbour's answer is right",
        seen=f"stopped by {stopped or 'nothing'}; neighbour: {found.neighbour}; its turn: {ended}",
        held=bool(stopped) and found.neighbour == "right" and last["type"] in {"result", "error"},
    )


def throttled_to(found: Beside) -> str:
    """Say how many processors it had; nothing if they were more than its limit.

    On a machine with other work it may get fewer, and then is not held back by it.
    """
    limit = box_cpus(None, processors=os.cpu_count() or 1)
    if found.processors is None or found.processors > limit * MEASURED_WITHIN:
        return ""
    return f"{found.processors:.2f} of {limit:g} processors, {found.throttled} periods held back"
