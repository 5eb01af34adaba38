import pytest

from hakoiri.credential_proxy import own_addresses
from hakoiri.credential_proxy.own_addresses import ENTRIES_LIMIT, KEPT_S, OwnAddresses


def test_an_address_of_this_machine_is_its_own_and_others_are_not() -> None:
    own = OwnAddresses()
    for address in ("127.0.0.1", "127.77.0.1"):
        assert own.has(address)
    for address in ("192.0.2.1", "2001:db8::1", "8.8.8.8"):
        assert not own.has(address)


def test_where_any_address_can_be_bound_the_source_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_addresses, "_can_bind", lambda _: True)
    own = OwnAddresses()
    assert own.has("127.0.0.1")
    assert not own.has("192.0.2.1")


def test_an_answer_is_kept_for_a_short_time_and_not_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    now_s = [0.0]

    def ask(address: str) -> bool:
        asked.append(address)
        return False

    monkeypatch.setattr(own_addresses, "_is_own", ask)
    own = OwnAddresses(clock_s=lambda: now_s[0])
    for _ in range(2):
        assert not own.has("192.0.2.1")
    assert asked == ["192.0.2.1"]
    now_s[0] = KEPT_S
    own.has("192.0.2.1")
    assert len(asked) == 2
    for number in range(ENTRIES_LIMIT):
        own.has(f"192.0.2.{number}")
    assert len(own._kept) == ENTRIES_LIMIT
