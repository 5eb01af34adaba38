from hakoiri.credential_proxy.span_allowance import SpanAllowance


def test_a_burst_passes_and_then_as_many_as_time_gives() -> None:
    now = [0.0]
    allowance = SpanAllowance(burst=3, per_s=2, clock_s=lambda: now[0])
    assert [allowance.take() for _ in range(5)] == [True, True, True, False, False]
    now[0] = 1.0
    assert [allowance.take() for _ in range(3)] == [True, True, False]
    now[0] = 1000.0
    assert [allowance.take() for _ in range(5)] == [True, True, True, False, False]


def test_asking_in_vain_costs_nothing() -> None:
    now = [0.0]
    allowance = SpanAllowance(burst=1, per_s=1, clock_s=lambda: now[0])
    assert allowance.take()
    for step in range(1, 10):
        now[0] = step / 10
        assert not allowance.take()
    now[0] = 1.0
    assert allowance.take()
