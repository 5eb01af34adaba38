from benchmarks.endurance import GRAINS, told, trends, verdict


def test_each_figure_has_its_trend_and_what_grows_is_said() -> None:
    counts = [*range(10, 210, 10)]
    samples = [
        {
            "server RSS, MiB": 100.0 + number % 3,
            "server, descriptors": 30.0 + number,
            "mounts, count": 0.0,
        }
        for number, _ in enumerate(counts)
    ]
    found = trends(counts, samples)
    assert [one.is_flat for one in found.values()] == [True, False, True]
    lines = list(told(found))
    assert "GROWS" in lines[1]
    assert "+100.000" in lines[1], "a descriptor in ten conversations"
    assert verdict("all PSS, MiB", found["server, descriptors"]) == "not judged"


def test_a_thing_that_is_left_on_the_host_once_is_found() -> None:
    samples = [{"mounts, count": float(number > 15)} for number in range(20)]
    assert not trends([*range(20)], samples)["mounts, count"].is_flat
    assert GRAINS["count"] == 0
