from benchmarks.report import Report, in_turns, percentile


def test_percentiles_are_those_of_the_samples() -> None:
    samples = [float(number) for number in range(101)]
    assert [percentile(samples, part) for part in (50, 95, 99)] == [50, 95, 99]
    assert percentile([7.0], 99) == 7


def test_the_table_shows_the_slowest_part() -> None:
    report = Report("some")
    report.add("it", 1.0)
    assert [column.header for column in report.table().columns][2:] == [
        "p50 ms",
        "p95 ms",
        "p99 ms",
    ]
    assert report.as_json()["measures"]["it"]["p99_ms"] == 1


def test_parts_take_turns_and_the_first_round_does_not_count() -> None:
    order: list[str] = []

    def part(name: str, report: Report) -> None:
        order.append(name)
        report.add(name, 1.0)

    report = Report("some")
    in_turns(
        [lambda into: part("a", into), lambda into: part("b", into)], 2, report, say=lambda _: None
    )
    assert order == ["b", "a", "a", "b", "b", "a"]
    assert {name: len(samples) for name, samples in report.samples_ms.items()} == {"a": 2, "b": 2}
