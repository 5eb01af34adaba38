from benchmarks.guard_calls import lines_of


def test_each_call_that_was_held_against_the_engine_is_judged_by_what_half_of_them_took() -> None:
    quick = [0.1] * 70 + [900.0] * 30
    slow = [2.1] * 70 + [0.0] * 30
    uneven = [-90.0] * 50 + [90.0] * 50
    lines = lines_of(
        {
            "inspect: bare": [9.0] * 100,
            "inspect: guarded": [9.5] * 100,
            "inspect: added": quick,
            "create: added": slow,
            "stop: added": uneven,
            "boxes: make": [40.0] * 100,
        }
    )
    assert [(line.work, line.is_met) for line in lines] == [
        ("inspect", True),
        ("create", False),
        ("stop", None),
    ]
    assert {line.bar for line in lines} == {"p50 <= 2 ms"}


def test_how_sure_the_median_is_is_told_by_the_samples_around_it() -> None:
    (line,) = lines_of({"start: added": [float(number) for number in range(101)]})
    assert line.ours == "+50.00 (+40.00 to +60.00)"
    (few,) = lines_of({"start: added": [-3.0, 5.0]})
    assert few.ours == "+1.00 (-3.00 to +5.00)"
    assert few.is_met is None, "two are too few to tell"
