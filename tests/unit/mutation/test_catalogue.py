from pathlib import Path

import pytest
from tests.mutation.catalogue import (
    ROOT,
    CatalogueError,
    Defence,
    Edit,
    Layer,
    check,
    chosen,
    load,
    load_all,
)

LAYERS = load_all()
DEFENCES = {defence.id: defence for layer in LAYERS for defence in layer.defences}
PROXY = next(layer for layer in LAYERS if layer.name == "proxy")
NODE = "tests/unit/a.py::test_it"


@pytest.mark.parametrize("name", DEFENCES)
def test_each_defence_still_fits_the_code_and_its_tests(name: str) -> None:
    check(DEFENCES[name])


@pytest.mark.parametrize("number", PROXY.attacks)
def test_each_attack_on_the_proxy_meets_a_defence(number: str) -> None:
    assert any(number in defence.attacks for defence in PROXY.defences)


def test_the_attacks_on_the_proxy_are_all_there() -> None:
    assert [*map(str, range(1, 18)), "U"] == list(PROXY.attacks)


def defence(*edits: Edit, tests: tuple[str, ...] = (NODE,)) -> Defence:
    return Defence("d", ("1",), "an attack", "403", edits, tests)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "src/hakoiri").mkdir(parents=True)
    (tmp_path / "src/hakoiri/a.py").write_text("x = 1\ny = 2\n")
    (tmp_path / "tests/unit").mkdir(parents=True)
    (tmp_path / "tests/unit/a.py").write_text("async def test_it(): ...\n")
    return tmp_path


def test_an_entry_that_fits_is_taken(tree: Path) -> None:
    check(defence(Edit("a.py", "x = 1", "x = 3"), Edit("a.py", "y = 2", "y = 4")), root=tree)
    check(defence(Edit("a.py", "x = 1", "x = 3"), tests=(f"{NODE}[a case]",)), root=tree)


@pytest.mark.parametrize(
    ("edit", "tests", "told"),
    [
        (Edit("b.py", "x", "z"), (NODE,), "there is no src/hakoiri/b.py"),
        (Edit("a.py", "z", "x"), (NODE,), "0 times"),
        (Edit("a.py", " = ", " == "), (NODE,), "2 times"),
        (Edit("a.py", "x = 1", "x = ("), (NODE,), "no Python"),
        (Edit("a.py", "x = 1", "x = 1  # one"), (NODE,), "changes nothing"),
        (Edit("a.py", "x = 1", "x = 3"), ("tests/unit/b.py::test_it",), "no tests/unit/b.py"),
        (Edit("a.py", "x = 1", "x = 3"), ("tests/unit/a.py::test_no",), "has no test_no"),
    ],
)
def test_an_entry_that_does_not_fit_is_told(
    tree: Path, edit: Edit, tests: tuple[str, ...], told: str
) -> None:
    with pytest.raises(CatalogueError, match=told):
        check(defence(edit, tests=tests), root=tree)


ENTRY = """
[[defence]]
id = "d"
attacks = ["1"]
attack = "an attack"
answer = "403"
tests = ["t"]
edit = [{ file = "a.py", find = "x", replace = "y" }]
"""


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        (ENTRY + ENTRY, "d is there twice"),
        (ENTRY.replace('["1"]', '["2"]'), "name attacks of the table"),
        (ENTRY.replace('["t"]', "[]"), "and tests"),
        (ENTRY.replace("answer", "answers"), "its fields must be"),
    ],
)
def test_a_layer_that_is_not_sound_is_told(tmp_path: Path, entries: str, told: str) -> None:
    path = tmp_path / "layer.toml"
    path.write_text('title = "t"\n[attacks]\n1 = "first"\n' + entries)
    with pytest.raises(CatalogueError, match=told):
        load(path)


def test_defences_are_chosen_by_id_or_layer() -> None:
    one, two = defence(), Defence("e", ("1",), "", "", (), ())
    layers = (Layer("a", "", {}, (one,)), Layer("b", "", {}, (two,)))
    assert chosen(layers, []) == [one, two]
    assert chosen(layers, ["e"]) == [two]
    assert chosen(layers, ["a"]) == [one]
    with pytest.raises(CatalogueError, match="'nothing'"):
        chosen(layers, ["d", "nothing"])


def test_taking_a_defence_out_changes_the_copy_alone(tree: Path) -> None:
    defence(Edit("a.py", "x = 1", "x = 3")).take_out(tree / "src")
    assert (tree / "src/hakoiri/a.py").read_text() == "x = 3\ny = 2\n"
    assert (ROOT / "src/hakoiri").is_dir()
