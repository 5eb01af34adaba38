from hakoiri.host.coordination.settling import Settling


def test_nothing_is_settled_before_the_service_was_seen() -> None:
    assert not Settling(settle_s=10).is_settled(now_s=1e9)


def test_it_settles_when_every_holder_had_the_time_to_renew() -> None:
    settling = Settling(settle_s=10)
    settling.saw("one", now_s=100)
    settling.saw("one", now_s=105)
    assert not settling.is_settled(now_s=109.9)
    assert settling.is_settled(now_s=110)


def test_another_life_and_a_silence_begin_anew() -> None:
    settling = Settling(settle_s=10)
    settling.saw("one", now_s=0)
    settling.saw("two", now_s=50)
    assert not settling.is_settled(now_s=55)
    assert settling.is_settled(now_s=60)
    settling.lost_sight()
    assert not settling.is_settled(now_s=70)
    settling.saw("two", now_s=71)
    assert not settling.is_settled(now_s=80)
    assert settling.is_settled(now_s=81)
