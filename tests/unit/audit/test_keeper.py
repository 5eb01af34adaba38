from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from tests.unit.audit.chains import AT, lines, write

from hakoiri.audit.chain import ChainError
from hakoiri.audit.head_files import read_signed_heads
from hakoiri.audit.keeper import KEY_NAME, Keeper, keep, load_or_make_key
from hakoiri.audit.keeper_status import KeeperStatus
from hakoiri.audit.segments import AuditFilesError
from hakoiri.audit.told_file import read_told
from hakoiri.audit.verification import load_public_key


class Room:
    """A keeper's directory and one chain."""

    def __init__(self, root: Path) -> None:
        self.own = root / "keeper"
        self.heads = root / "heads"
        self.chain = root / "server"
        self.own.mkdir()
        self.heads.mkdir()
        self.chain.mkdir()
        self.told: list[tuple[str, dict[str, object]]] = []
        self.at: datetime = AT

    def tell(self, event: str, **fields: object) -> None:
        self.told.append((event, fields))

    def keeper(self) -> Keeper:
        return Keeper(
            directory=self.heads,
            chains={"server": self.chain, "proxy": self.chain.with_name("proxy")},
            key=load_or_make_key(self.own),
            tell=self.tell,
            now=lambda: self.at,
        )

    def unsigned_s(self, keeper: Keeper) -> dict[str, float]:
        """Pass a minute, let it look; tell since when each chain has not been found signed."""
        self.at += timedelta(minutes=1)
        with suppress(OSError):
            keeper.step()
        chains = keeper.status.chains
        return {name: self.at.timestamp() - one.signed_at for name, one in chains.items()}

    def signed(self) -> list[int]:
        public = load_public_key(self.own / "public.pem")
        return sorted(read_signed_heads(self.heads, public=public).get("server", {}))


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


def test_a_chain_that_grew_gets_a_head_and_one_that_did_not_gets_none(room: Room) -> None:
    made = lines(9)
    keeper = room.keeper()
    assert keeper.step() == []
    write(room.chain, made[:4])
    assert keeper.step() == ["server"]
    assert keeper.step() == []
    write(room.chain, made)
    assert keeper.step() == ["server"]
    assert room.signed() == [4, 9]
    assert room.told == []


def test_a_keeper_that_comes_back_goes_on_where_the_newest_head_is(room: Room) -> None:
    made = lines(12)
    write(room.chain, made[:3])
    write(room.chain, made[3:6], first=4)
    room.keeper().step()
    write(room.chain, made[3:9], first=4)
    write(room.chain, made[9:], first=10)
    assert room.keeper().step() == ["server"]
    assert room.keeper().step() == []
    assert room.signed() == [6, 12]


@pytest.mark.parametrize("is_running", [True, False])
@pytest.mark.parametrize("act", ["change a new line", "cut", "rewrite", "remove"])
def test_a_chain_that_does_not_go_on_is_told_once_and_signed_no_more(
    room: Room, act: str, *, is_running: bool
) -> None:
    made = lines(9)
    path = write(room.chain, made[:5])
    keeper = room.keeper()
    keeper.step()
    if act == "change a new line":
        changed = [*made[:6], made[6].replace(b"acme", b"evil"), *made[7:]]
        path.write_bytes(b"".join(changed))
    elif act == "cut":
        path.write_bytes(b"".join(made[:3]))
    elif act == "rewrite":
        path.write_bytes(b"".join(line.replace(b"acme", b"evil") for line in made[:5]))
    else:
        path.unlink()
    if not is_running:
        keeper = room.keeper()
    assert keeper.step() == []
    assert keeper.step() == []
    assert [event for event, _ in room.told] == ["audit_chain_broken"]
    assert keeper.broken
    assert room.signed() == [5]


def test_the_key_is_made_once_and_is_nobody_elses(room: Room) -> None:
    first = load_or_make_key(room.own)
    assert load_or_make_key(room.own).private_bytes_raw() == first.private_bytes_raw()
    assert (room.own / KEY_NAME).stat().st_mode & 0o777 == 0o600
    assert first.public_key() == load_public_key(room.own / "public.pem")


def test_a_key_that_cannot_be_used_is_told(room: Room) -> None:
    (room.own / KEY_NAME).write_text("no key")
    with pytest.raises(AuditFilesError, match=r"key\.pem holds no private key"):
        room.keeper()


def test_heads_of_another_key_are_not_gone_on_with(room: Room) -> None:
    write(room.chain, lines(2))
    room.keeper().step()
    (room.own / KEY_NAME).unlink()
    with pytest.raises(ChainError, match="not signed with this installation's key"):
        room.keeper()


def test_a_torn_head_is_cut_off(room: Room) -> None:
    made = lines(4)
    write(room.chain, made[:2])
    room.keeper().step()
    with (room.heads / f"{1:015d}.jsonl").open("ab") as file:
        file.write(b'{"chain":"ser')
    write(room.chain, made)
    assert room.keeper().step() == ["server"]
    assert room.signed() == [2, 4]


def test_the_last_look_comes_when_the_end_comes(room: Room) -> None:
    made = lines(4)
    waited: list[float] = []

    def is_stopping(seconds: float) -> bool:
        waited.append(seconds)
        write(room.chain, made[: 2 * len(waited)])
        return len(waited) == 2

    keep(room.keeper(), is_stopping=is_stopping, status_file=room.own / "told" / "status.json")
    assert room.signed() == [2, 4]
    assert all(1 <= seconds <= 60 for seconds in waited)


def test_a_chain_is_signed_as_of_the_last_look_that_found_it_so(room: Room) -> None:
    made = lines(9)
    path = write(room.chain, made[:5])
    keeper = room.keeper()
    assert room.unsigned_s(keeper) == {"server": 0, "proxy": 0}, "one that has not begun is signed"
    assert room.unsigned_s(keeper) == {"server": 0, "proxy": 0}, "and one that did not grow"
    path.write_bytes(b"".join(made[:3]))
    room.unsigned_s(keeper)
    assert room.unsigned_s(keeper) == {"server": 120, "proxy": 0}
    broken = {name: chain.is_broken for name, chain in keeper.status.chains.items()}
    assert broken == {"server": True, "proxy": False}


def test_a_chain_that_is_gone_is_not_signed(room: Room) -> None:
    path = write(room.chain, lines(5))
    keeper = room.keeper()
    assert room.unsigned_s(keeper) == {"server": 0, "proxy": 0}
    path.unlink()
    room.chain.rmdir()
    assert room.unsigned_s(keeper) == {"server": 60, "proxy": 0}


def test_what_cannot_be_read_is_not_signed_and_not_broken(room: Room) -> None:
    path = write(room.chain, lines(5))
    keeper = room.keeper()
    path.rename(room.chain / "aside")
    path.symlink_to(room.chain / "aside")
    assert room.unsigned_s(keeper) == {"server": 60, "proxy": 0}
    assert not keeper.status.chains["server"].is_broken


def test_a_head_that_cannot_be_written_signs_nothing(room: Room) -> None:
    keeper = room.keeper()
    write(room.chain, lines(5))
    (room.heads / f"{1:015d}.jsonl").mkdir()
    assert room.unsigned_s(keeper) == {"server": 60, "proxy": 60}


def test_each_look_is_told_and_signing_goes_on_where_that_fails(room: Room) -> None:
    write(room.chain, lines(4))
    path = room.own / "status.json"
    keep(room.keeper(), is_stopping=lambda _: True, status_file=path)
    told = read_told(path, KeeperStatus)
    assert told is not None
    assert (told.told_at, set(told.chains)) == (AT.timestamp(), {"server", "proxy"})
    path.unlink()
    path.mkdir()
    keep(room.keeper(), is_stopping=lambda _: True, status_file=path)
    assert room.signed() == [4]
