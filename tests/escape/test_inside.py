"""What a turn's commands try from inside the box of a running server, and must not reach."""

import pytest
from tests.escape.attacks import ATTACKS, Attack
from tests.escape.conftest import Tell
from tests.escape.installation import ALLOWED, DENIED, METADATA, Installation, Ran

pytestmark = [pytest.mark.engine, pytest.mark.root]


@pytest.fixture(scope="module")
def seen(place: Installation) -> dict[str, Ran]:
    """All commands, in one turn of one conversation."""
    commands = {f"{attack.area}: {attack.name}": attack.command for attack in ATTACKS}
    assert len(commands) == len(ATTACKS)
    return place.run_all(place.server.conversation(), commands)


def _parameters() -> list[object]:
    return [
        pytest.param(attack, id=attack.name, marks=pytest.mark.attack(attack.area))
        for attack in ATTACKS
    ]


def told_of(ran: Ran) -> str:
    """What it said; of a traceback its last line."""
    said = ran.said.strip()
    if "Traceback" in said:
        return said.splitlines()[-1]
    return said or f"exit code {ran.code}"


@pytest.mark.parametrize("attack", _parameters())
def test_a_command_in_the_box_is_held_back(
    place: Installation, seen: dict[str, Ran], attack: Attack, tell: Tell
) -> None:
    ran = seen[f"{attack.area}: {attack.name}"]
    tell(
        attack.name,
        command=attack.command,
        expected=attack.expected,
        seen=told_of(ran),
        held=attack.holds(ran),
    )


@pytest.mark.attack("whitelist-bypass")
def test_the_site_was_asked_under_no_name_but_the_allowed_one(
    place: Installation, seen: dict[str, Ran], tell: Tell
) -> None:
    asked = {name.lower() for name in place.outside.asked}
    assert METADATA not in asked
    tell(
        "what the site outside saw of all these",
        command=f"the names {', '.join(DENIED)} have its address, too",
        expected=f"requests for {ALLOWED} alone",
        seen=f"requests for {', '.join(sorted(asked))}",
        held=bool(seen) and asked == {ALLOWED},
    )
