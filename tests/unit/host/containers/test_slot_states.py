from hakoiri.host.containers.gc import Member
from hakoiri.host.containers.slot_states import slot_states


def test_every_place_is_counted_once() -> None:
    members = [
        Member("c1", "w1", 0.0, None),
        Member("c2", "w2", 0.0, 1.0),
        Member("c3", "w3", 0.0, 1.0, is_frozen=True),
        Member("c4", "w4", 0.0, 2.0),
    ]
    states = slot_states(members, occupied=7, warm=2, promised=3, free=10)
    assert states == {
        "busy": 1,
        "idle": 2,
        "frozen": 1,
        "warm": 2,
        "starting": 3,
        "stopping": 1,
        "free": 10,
    }
    assert sum(states.values()) == 7 + 3 + 10
