from hakoiri.host.containers.gc import Member
from hakoiri.host.containers.unsaved import UnsavedAges


def member(*, idle_since_s: float | None = None, is_unsaved: bool = False) -> Member:
    return Member("c1", "w1", started_at_s=100, idle_since_s=idle_since_s, is_unsaved=is_unsaved)


def test_work_waits_since_the_start_then_since_the_newest_save_began() -> None:
    ages = UnsavedAges()
    assert ages.look([member()], now_s=130) == [30]
    ages.saved("w1", began_s=125)
    assert ages.look([member()], now_s=130) == [5]
    ages.saved("w1", began_s=110)
    assert ages.look([member()], now_s=130) == [5], "a save that ended later began earlier"


def test_an_idle_one_that_is_saved_waits_for_nothing_and_counts_from_then() -> None:
    ages = UnsavedAges()
    assert ages.look([member(idle_since_s=200)], now_s=5000) == []
    assert ages.look([member()], now_s=5010) == [10]


def test_an_idle_one_that_could_not_be_saved_goes_on_waiting() -> None:
    ages = UnsavedAges()
    assert ages.look([member(idle_since_s=110, is_unsaved=True)], now_s=400) == [300]


def test_who_is_gone_is_forgotten() -> None:
    ages = UnsavedAges()
    ages.saved("w1", began_s=1000)
    assert ages.look([], now_s=1001) == []
    assert ages.look([member()], now_s=1100) == [1000]
