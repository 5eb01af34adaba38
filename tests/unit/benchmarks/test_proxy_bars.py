from benchmarks.proxy_bars import latency_line, limit_line, rate_line, table_of

ROUNDS = {
    "direct": [{"p50_ms": 1.0, "p99_ms": 2.0}, {"p50_ms": 2.0, "p99_ms": 2.0}],
    "ours": [
        {"p50_ms": 1.5, "p99_ms": 3.0, "per_s": 90.0},
        {"p50_ms": 2.5, "p99_ms": 5.0, "per_s": 110.0},
    ],
    "slow": [{"p50_ms": 9.0, "p99_ms": 9.0, "per_s": 50.0}],
    "fast": [{"p50_ms": 4.0, "p99_ms": 9.0, "per_s": 200.0}],
}


def test_what_is_added_is_compared_round_by_round() -> None:
    line = latency_line("w", ROUNDS, p50_ms=0.5, p99_ms=2)
    assert line.ours == "p50 +0.50, p99 +2.00 ms"
    assert line.is_met
    assert line.best_peer.startswith("fast")
    assert not latency_line("w", ROUNDS, p50_ms=0.4, p99_ms=2).is_met
    assert not latency_line("w", ROUNDS, p50_ms=0.5, p99_ms=1).is_met


def test_a_rate_is_compared_with_the_named_peer() -> None:
    line = rate_line("w", ROUNDS, peer="slow", least=1.5)
    assert (line.ratio, line.is_met, line.best_peer) == (2.0, True, "fast 200/s")
    assert not rate_line("w", ROUNDS, peer="fast", least=0.6).is_met


def test_a_limit_is_met_when_it_is_not_passed() -> None:
    assert limit_line("w", 4.0, limit=4, unit="MB").is_met
    missed = limit_line("w", 4.1, limit=4, unit="MB")
    assert not missed.is_met
    assert table_of([missed]).row_count == 1
