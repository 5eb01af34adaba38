"""One box uses up all that it can; its neighbour's turn must end, with the right result."""

import pytest
from tests.escape.bombs import BOMBS
from tests.escape.conftest import Tell
from tests.escape.installation import Installation
from tests.escape.neighbours import beside

pytestmark = [pytest.mark.engine, pytest.mark.root, pytest.mark.attack("resource-exhaustion")]


@pytest.mark.parametrize("bomb", BOMBS)
def test_the_neighbour_of_a_bomb_gets_its_right_answer(
    place: Installation, bomb: str, tell: Tell
) -> None:
    events, neighbour = beside(place, BOMBS[bomb])
    last = events[-1]
    ended = last["data"]["code"] if last["type"] == "error" else last["type"]
    tell(
        f"{bomb}, beside a neighbour",
        command=BOMBS[bomb],
        expected="the neighbour's answer is right; the bomb's turn ends",
        seen=f"neighbour: {neighbour}; the bomb's turn: {ended}",
        held=neighbour == "right" and last["type"] in {"result", "error"},
    )
