from pathlib import Path

import pytest
from tests.unit.audit.chains import lines, write

from hakoiri.audit.chain import AuditError
from hakoiri.audit.segments import Segment
from hakoiri.audit.shipping import courier as module
from hakoiri.audit.shipping.courier import Courier, load_places
from hakoiri.audit.shipping.source import Batch
from hakoiri.audit.shipping.targets import SealedTarget, StreamTarget, TargetError

MADE = lines(10)


class Lines:
    """Takes lines; fails while `error` is set, before or after it took them."""

    def __init__(self) -> None:
        self.taken: dict[str, list[bytes]] = {}
        self.error: Exception | None = None
        self.takes_though_it_fails = False

    def send(self, chain: str, batch: Batch) -> None:
        if self.error is None or self.takes_though_it_fails:
            self.taken.setdefault(chain, []).extend(batch.data.splitlines(keepends=True))
        if self.error is not None:
            raise self.error


class Files:
    def __init__(self) -> None:
        self.taken: list[tuple[str, int, bytes]] = []
        self.error: Exception | None = None

    def put_lines(self, chain: str, batch: Batch) -> None:
        if self.error is not None:
            raise self.error
        self.taken.append((chain, batch.first, batch.data))

    def put(self, chain: str, segment: Segment) -> None:
        self.taken.append((chain, segment.first, segment.path.read_bytes()))


class Room:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.chains = {"server": root / "server", "proxy": root / "proxy", "guard": root / "guard"}
        for name in ("server", "proxy"):
            self.chains[name].mkdir()
        self.told: list[tuple[str, dict[str, object]]] = []
        self.now_s = 100.0

    def tell(self, event: str, **fields: object) -> None:
        self.told.append((event, fields))

    def courier(self, target: StreamTarget | SealedTarget) -> Courier:
        return Courier(
            name="siem",
            kind="syslog",
            target=target,
            chains=self.chains,
            places_file=self.root / "siem.json",
            tell=self.tell,
            wall_s=lambda: self.now_s,
        )


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


def test_lines_are_shipped_as_they_come_also_across_restarts(room: Room) -> None:
    target = Lines()
    write(room.chains["server"], MADE[:3])
    courier = room.courier(target)
    assert courier.step()
    assert not courier.step()
    write(room.chains["server"], MADE[:6])
    again = room.courier(target)
    assert again.step()
    assert not again.step()
    assert target.taken == {"server": MADE[:6]}
    assert room.told == []
    status = again.status
    assert (status.chains["server"].sequence, status.waiting_bytes) == (6, 0)
    assert status.shipped_bytes == sum(map(len, MADE[3:6]))
    assert (status.error, status.behind_since) == (None, None)


def test_nothing_is_left_out_when_a_target_fails_and_it_is_told_once(room: Room) -> None:
    target = Lines()
    courier = room.courier(target)
    write(room.chains["server"], MADE[:3])
    target.error = TargetError("no")
    pauses = []
    for _ in range(9):
        room.now_s += 10
        assert not courier.step()
        pauses.append(courier.pause_s)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert courier.status.failures == 9
    assert courier.status.error == "server: no"
    assert courier.status.behind_since == 110
    assert courier.status.waiting_bytes == sum(map(len, MADE[:3]))
    target.error = None
    assert courier.step()
    assert target.taken == {"server": MADE[:3]}
    assert courier.pause_s == 0
    newest = room.courier(target)
    newest.step()
    assert (newest.status.error, newest.status.behind_since) == (None, None)
    assert [event for event, _ in room.told] == ["audit_not_shipped", "audit_shipping_again"]


def test_a_batch_whose_end_was_not_seen_comes_again(room: Room) -> None:
    target = Lines()
    target.error, target.takes_though_it_fails = OSError("cut"), True
    write(room.chains["server"], MADE[:2])
    courier = room.courier(target)
    courier.step()
    target.error = None
    courier.step()
    assert target.taken == {"server": MADE[:2] * 2}


def test_the_place_is_kept_only_after_the_target_has_it(room: Room) -> None:
    target = Lines()
    target.error = OSError("away")
    write(room.chains["server"], MADE[:2])
    room.courier(target).step()
    assert load_places(room.root / "siem.json") == {}


def test_a_chain_that_cannot_be_read_holds_up_no_other(room: Room) -> None:
    target = Lines()
    courier = room.courier(target)
    server = write(room.chains["server"], MADE[:3])
    courier.step()
    server.write_bytes(b"")
    write(room.chains["proxy"], MADE[:2])
    courier.step()
    assert target.taken["proxy"] == MADE[:2]
    assert courier.status.error is not None
    assert "was cut after" in courier.status.error


def test_files_are_shipped_once_they_are_full(room: Room) -> None:
    target = Files()
    courier = room.courier(target)
    write(room.chains["server"], MADE[:3])
    assert not courier.step()
    assert courier.status.waiting_bytes == 0, "what is not full is not late"
    write(room.chains["server"], MADE[3:4], first=4)
    write(room.chains["server"], [], first=5)
    assert courier.step()
    assert courier.step()
    assert not courier.step()
    assert target.taken == [
        ("server", 1, b"".join(MADE[:3])),
        ("server", 4, MADE[3]),
    ]
    again = room.courier(target)
    assert not again.step()


def test_lines_that_went_before_they_were_shipped_are_told(room: Room) -> None:
    target = Lines()
    courier = room.courier(target)
    first = write(room.chains["server"], MADE[:2])
    courier.step()
    first.unlink()
    write(room.chains["server"], MADE[5:6], first=6)
    courier.step()
    assert courier.status.chains["server"].missed_lines == 3
    assert room.told == [
        ("audit_lines_not_shipped", {"target": "siem", "chain": "server", "lines": 3})
    ]


def test_a_place_that_cannot_be_read_is_not_guessed(room: Room) -> None:
    (room.root / "siem.json").write_text("{")
    with pytest.raises(AuditError, match="remove it to begin anew"):
        room.courier(Lines())


def test_pauses_have_an_end() -> None:
    assert module.PAUSE_MAX_S <= 60


def test_whatever_a_target_does_the_courier_lives_and_tells(room: Room) -> None:
    target = Lines()
    target.error = ZeroDivisionError()
    write(room.chains["server"], MADE[:2])
    courier = room.courier(target)
    assert not courier.step()
    assert courier.status.error == "server: ZeroDivisionError"


def test_heads_do_not_wait_for_a_full_file_but_make_at_most_an_object_a_minute(room: Room) -> None:
    target = Files()
    room.chains = {name: room.root / name for name in ("server", "heads")}
    room.chains["heads"].mkdir()
    write(room.chains["server"], MADE[:2])
    write(room.chains["heads"], MADE[:2])
    courier = room.courier(target)
    assert courier.step()
    assert target.taken == [("heads", 1, b"".join(MADE[:2]))]
    write(room.chains["heads"], MADE[:5])
    room.now_s += 59
    assert not courier.step()
    assert courier.status.chains["heads"].waiting_bytes == sum(map(len, MADE[2:5]))
    room.now_s += 1
    assert courier.step()
    assert target.taken[1:] == [("heads", 3, b"".join(MADE[2:5]))]
    again = room.courier(target)
    write(room.chains["heads"], MADE[:6])
    again.step()
    assert target.taken[2:] == [("heads", 6, MADE[5])]
    assert again.status.chains["heads"].sequence == 6
    assert again.status.chains["server"].sequence == 0


def test_heads_that_a_store_refused_are_tried_again_without_a_minutes_wait(room: Room) -> None:
    target = Files()
    target.error = TargetError("no")
    room.chains = {"heads": room.root / "heads"}
    room.chains["heads"].mkdir()
    write(room.chains["heads"], MADE[:2])
    courier = room.courier(target)
    assert not courier.step()
    target.error = None
    assert courier.step()
    assert [first for _, first, _ in target.taken] == [1]


def test_a_clock_that_was_put_back_does_not_hold_heads_up(room: Room) -> None:
    target = Files()
    room.chains = {"heads": room.root / "heads"}
    room.chains["heads"].mkdir()
    write(room.chains["heads"], MADE[:1])
    courier = room.courier(target)
    courier.step()
    write(room.chains["heads"], MADE[:2])
    room.now_s -= 1000
    assert courier.step()
