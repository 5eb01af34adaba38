from hypothesis import given
from hypothesis import strategies as st

from hakoiri.host.coordination.silence import Silence


def test_who_is_silent_for_as_long_as_may_be_is_gone_and_no_sooner() -> None:
    silence = Silence(limit_s=10)
    assert not silence.is_over_limit("a", now_s=100)
    assert not silence.is_over_limit("a", now_s=109.9)
    assert silence.is_over_limit("a", now_s=110)
    assert not silence.is_over_limit("b", now_s=110)


def test_a_sign_of_life_begins_it_anew() -> None:
    silence = Silence(limit_s=10)
    silence.is_over_limit("a", now_s=100)
    silence.heard("a")
    assert not silence.is_over_limit("a", now_s=115)
    assert silence.is_over_limit("a", now_s=125)
    silence.heard("nobody")


def test_who_is_followed_no_more_begins_anew() -> None:
    silence = Silence(limit_s=10)
    for name in "ab":
        silence.is_over_limit(name, now_s=100)
    silence.follow_only({"b"})
    assert not silence.is_over_limit("a", now_s=110)
    assert silence.is_over_limit("b", now_s=110)


@given(st.lists(st.tuples(st.floats(0, 30), st.booleans())), st.floats(0.1, 100))
def test_nobody_is_gone_who_was_heard_within_the_limit(
    looks: list[tuple[float, bool]], limit_s: float
) -> None:
    silence, now_s, heard_s = Silence(limit_s=limit_s), 0.0, 0.0
    for later_s, is_heard in looks:
        now_s += later_s
        if is_heard:
            silence.heard("a")
            heard_s = now_s
        elif silence.is_over_limit("a", now_s=now_s):
            assert now_s - heard_s >= limit_s
