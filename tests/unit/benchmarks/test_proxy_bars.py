from benchmarks.proxy_bars import Line, latency_line, limit_line, rate_line, table_of


def times(p50_ms: float, p95_ms: float, p99_ms: float, per_s: float = 0.0) -> dict[str, float]:
    return {"p50_ms": p50_ms, "p95_ms": p95_ms, "p99_ms": p99_ms, "per_s": per_s}


ROUNDS = {
    "direct": [times(1.0, 1.5, 2.0), times(2.0, 2.0, 2.0)],
    "ours": [times(1.5, 2.0, 3.0, per_s=90.0), times(2.5, 3.0, 5.0, per_s=110.0)],
    "slow": [times(9.0, 9.0, 9.0, per_s=50.0), times(9.0, 9.0, 9.0, per_s=50.0)],
    "fast": [times(4.0, 9.0, 9.0, per_s=200.0), times(4.0, 9.0, 9.0, per_s=200.0)],
}


def test_what_is_added_is_compared_round_by_round() -> None:
    line = latency_line("w", ROUNDS, p50_ms=0.5, p99_ms=2)
    assert line.ours == "p50 +0.50, p95 +0.75, p99 +2.00 ms"
    assert line.is_met
    assert line.best_peer == "fast p50 +2.50 ms"
    assert line.ratio == 0.2
    assert not latency_line("w", ROUNDS, p50_ms=0.4, p99_ms=2).is_met
    assert not latency_line("w", ROUNDS, p50_ms=0.5, p99_ms=1).is_met
    assert latency_line("w", ROUNDS, p50_ms=0.5).is_met


def test_a_rate_is_compared_with_the_named_peer() -> None:
    line = rate_line("w", ROUNDS, peer="slow", least=1.5)
    assert (line.ratio, line.is_met) == (2.0, True)
    assert line.ours == "100/s (p50/95/99 2.00/2.50/4.00 ms)"
    assert line.best_peer == "slow 50/s; best: fast 200/s"
    assert not rate_line("w", ROUNDS, peer="fast", least=0.6).is_met


def test_a_peer_that_could_not_be_measured_is_no_pass_and_no_miss() -> None:
    line = rate_line("w", ROUNDS, peer="third", least=1, missing="it is not installed")
    assert line.is_met is None
    assert line.best_peer == "third: it is not installed"


def test_a_limit_is_met_when_it_is_not_passed() -> None:
    assert limit_line("w", 4.0, limit=4, unit="MB").is_met
    missed = limit_line("w", 4.1, limit=4, unit="MB")
    assert not missed.is_met
    assert table_of([missed]).row_count == 1


def test_what_has_no_bar_has_no_verdict() -> None:
    table = table_of([Line("w", "", "1 s", "", None, None), Line("w", "<= 2", "", "", None, None)])
    assert list(table.columns[-1].cells) == ["", "not measured"]
