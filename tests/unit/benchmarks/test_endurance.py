from pathlib import Path

import pytest
from benchmarks.endurance import GRAINS, read_arguments, told, trends, verdict


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


@pytest.mark.parametrize(
    ("words", "mend"),
    [
        (["--conversations", "36", "--every", "12"], "more than 36 conversations, or --every 11"),
        (["--conversations", "3", "--every", "1"], "give more than 3 conversations\n"),
        (["--every", "0"], "--every: '0'"),
        (["--at-once", "0"], "--at-once: '0'"),
        (["--conversations", "-1"], "--conversations: '-1'"),
    ],
)
def test_a_run_that_could_not_be_judged_is_refused_at_once(
    words: list[str], mend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        read_arguments([*words, "--out", str(tmp_path / "out")])
    assert ended.value.code == 2
    assert mend in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("conversations", "every"), [(37, 12), (36, 11), (4, 1), (2000, 10)])
def test_what_the_refusal_names_is_taken(conversations: int, every: int, tmp_path: Path) -> None:
    words = ["--conversations", str(conversations), "--every", str(every), "--out", str(tmp_path)]
    given = read_arguments(words)
    xs = [float(number) for number in range(0, given.conversations, given.every)]
    assert trends([int(x) for x in xs], [{"mounts, count": 0.0} for _ in xs])


def test_a_place_that_cannot_be_written_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit):
        read_arguments(["--out", str(tmp_path / "file" / "below")])
    assert f"--out {tmp_path}/file/below: Not a directory" in capsys.readouterr().err
