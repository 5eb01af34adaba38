from dataclasses import replace
from pathlib import Path

import pytest
from tests.mutation.catalogue import CatalogueError, Defence, Edit, load_all
from tests.mutation.tried import (
    FILE,
    Trial,
    Verdict,
    digest_of,
    is_tried,
    keep,
    parse,
    read,
    text_of,
    tidy,
)

DEFENCE = Defence("d", ("1",), "an attack", "403", (Edit("a.py", "x", "y"),), ("a::t", "a::u"))
LINE = "d caught 2026-11-27 abcdef123456 0123"


def trial(name: str = "d", verdict: Verdict = Verdict.CAUGHT) -> Trial:
    return Trial(name, verdict, "2026-11-27", "abcdef123456", digest_of(DEFENCE))


def test_the_file_is_tidy_and_tells_of_defences_that_there_are() -> None:
    """`python -m tests.mutation --page` makes it so, after a merge, too."""
    known = {defence.id for layer in load_all() for defence in layer.defences}
    trials = read()
    assert set(trials) <= known
    assert FILE.read_text() == text_of(trials)


def test_a_line_is_read_as_it_is_written() -> None:
    (read_one,) = parse(LINE).values()
    assert read_one == Trial("d", Verdict.CAUGHT, "2026-11-27", "abcdef123456", "0123")
    assert text_of({"d": read_one}) == LINE + "\n"


@pytest.mark.parametrize("line", ["d caught", "<<<<<<< HEAD", LINE + " more", "d good a b c"])
def test_a_line_that_is_none_is_told(line: str) -> None:
    with pytest.raises(CatalogueError, match="no line of a trial"):
        parse(line)


def test_of_two_lines_with_one_id_the_later_counts() -> None:
    later = LINE.replace("27", "28").replace("caught", "SURVIVED")
    for text in (f"{LINE}\n{later}\n", f"{later}\n{LINE}\n"):
        assert parse(text)["d"].verdict is Verdict.SURVIVED


def test_only_what_was_caught_as_it_is_now_is_tried() -> None:
    assert is_tried(DEFENCE, {"d": trial()})
    assert not is_tried(DEFENCE, {})
    assert not is_tried(DEFENCE, {"d": trial(verdict=Verdict.SURVIVED)})
    assert not is_tried(DEFENCE, {"d": trial(verdict=Verdict.BROKEN)})
    for changed in (
        replace(DEFENCE, edits=(Edit("a.py", "x", "z"),)),
        replace(DEFENCE, tests=("a::t",)),
    ):
        assert not is_tried(changed, {"d": trial()})
    assert is_tried(replace(DEFENCE, attack="in other words"), {"d": trial()})


def test_what_is_seen_is_kept_beside_what_others_saw(tmp_path: Path) -> None:
    path = tmp_path / "tried.txt"
    assert read(path) == {}
    keep([trial("b"), trial("c")], path=path)
    keep([trial("a"), trial("c", verdict=Verdict.SURVIVED)], path=path)
    assert [line.split()[:2] for line in path.read_text().splitlines()] == [
        ["a", "caught"],
        ["b", "caught"],
        ["c", "SURVIVED"],
    ]
    tidy([replace(DEFENCE, id="b")], path=path)
    assert set(read(path)) == {"b"}
    assert list(tmp_path.iterdir()) == [path]
