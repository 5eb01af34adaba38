import sqlite3
import stat
from pathlib import Path

import pytest

from hakoiri.credential_proxy.budgets import store as store_module
from hakoiri.credential_proxy.budgets.account import Entry
from hakoiri.credential_proxy.budgets.calendar import day_at
from hakoiri.credential_proxy.budgets.holder import Holder, holders_of
from hakoiri.credential_proxy.budgets.store import LedgerStore, StoreError
from hakoiri.credential_proxy.errors import ConfigurationError

from .books import DAY_S, HOLDER, NOON_S

TODAY = day_at(NOON_S)


def entry(holder: Holder = HOLDER, tokens: int = 1, spend: int = 0) -> Entry:
    return Entry(holder, TODAY.number, TODAY.month, 2, 3, 4, tokens, spend, spend)


def test_what_was_written_is_there_for_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    store = LedgerStore.open(path)
    entries = [entry(holder, tokens) for tokens, holder in enumerate(holders_of("t", "w"))]
    store.write(entries, TODAY)
    store.write([entry(tokens=77)], TODAY)
    store.close()
    again = LedgerStore.open(path)
    assert sorted(again.read(TODAY), key=str) == sorted([*entries[:2], entry(tokens=77)], key=str)
    again.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_over_is_forgotten_but_for_the_month_s_spend(tmp_path: Path) -> None:
    store = LedgerStore.open(tmp_path / "ledger")
    other = Holder("workspace", "t", "spent nothing")
    store.write([entry(spend=5), entry(other)], TODAY)
    assert len(store.read(TODAY)) == 2
    tomorrow = day_at(NOON_S + DAY_S)
    assert store.read(tomorrow) == [entry(spend=5)]
    store.write([], tomorrow)
    assert store.read(TODAY) == [entry(spend=5)]
    next_month = day_at(NOON_S + 40 * DAY_S)
    assert store.read(next_month) == []
    store.write([], next_month)
    assert store.read(TODAY) == []
    store.close()


def test_two_cannot_keep_one_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "_TAKEN_TIMEOUT_S", 0.01)
    first = LedgerStore.open(tmp_path / "ledger")
    with pytest.raises(ConfigurationError, match="another proxy uses it"):
        LedgerStore.open(tmp_path / "ledger")
    first.close()
    LedgerStore.open(tmp_path / "ledger").close()


def test_a_file_that_is_no_ledger_is_refused_with_the_mend(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    path.write_bytes(b"something else" * 1000)
    with pytest.raises(ConfigurationError, match=r"cannot be read.*move it away"):
        LedgerStore.open(path)
    assert path.read_bytes().startswith(b"something else"), "and left as it is"


@pytest.mark.parametrize(
    "damage",
    [
        "PRAGMA user_version = 9",
        "UPDATE account SET kind = 'nobody'",
        "UPDATE account SET model_tokens = 'many'",
    ],
)
def test_a_ledger_that_makes_no_sense_is_refused_with_the_mend(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "ledger"
    store = LedgerStore.open(path)
    store.write([entry()], TODAY)
    store.close()
    with sqlite3.connect(path) as connection:
        connection.execute(damage)
    connection.close()
    with pytest.raises(ConfigurationError, match=r"cannot be read.*move it away"):
        LedgerStore.open(path).read(TODAY)


@pytest.mark.parametrize("kind", ["link", "directory", "absent"])
def test_only_a_regular_file_is_taken(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "ledger"
    if kind == "link":
        path.symlink_to(tmp_path / "elsewhere")
    elif kind == "directory":
        path.mkdir()
    else:
        path = tmp_path / "nowhere" / "ledger"
    with pytest.raises(ConfigurationError, match="cannot be opened"):
        LedgerStore.open(path)
    assert not (tmp_path / "elsewhere").exists()


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    store = LedgerStore.open(tmp_path / "ledger")
    store.write([entry(tokens=5)], TODAY)
    too_large = entry(tokens=2**70)
    with pytest.raises(StoreError):
        store.write([entry(tokens=6), too_large], TODAY)
    assert store.read(TODAY) == [entry(tokens=5)]
    store._connection.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreError, match="cannot be written"):
        store.write([entry(tokens=6)], TODAY)
    store.close()
