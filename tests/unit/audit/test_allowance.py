from hakoiri.audit.allowance import REFUSALS_BURST, Allowance, RefusalLines


def test_what_is_used_up_comes_back_with_time_and_no_further() -> None:
    now = [0.0]
    allowance = Allowance(burst=3, per_s=2, clock_s=lambda: now[0])
    assert [allowance.take() for _ in range(5)] == [True] * 3 + [False] * 2
    now[0] = 1.0
    assert [allowance.take() for _ in range(3)] == [True, True, False]
    now[0] = 1000.0
    assert [allowance.take() for _ in range(4)] == [True] * 3 + [False]


def test_what_was_left_out_is_told_once_with_the_next_line() -> None:
    now = [0.0]
    lines = RefusalLines(Allowance(burst=2, per_s=1, clock_s=lambda: now[0]))
    assert [lines.take() for _ in range(5)] == [0, 0, None, None, None]
    now[0] = 2.0
    assert [lines.take() for _ in range(3)] == [3, 0, None]


def test_an_honest_container_is_never_short_of_lines() -> None:
    lines = RefusalLines()
    assert [lines.take() for _ in range(REFUSALS_BURST)] == [0] * REFUSALS_BURST
