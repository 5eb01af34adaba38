import pytest
from tests.mutation.catalogue import Defence, Edit, Layer, load_all
from tests.mutation.page import path_of, render


@pytest.mark.parametrize("layer", load_all(), ids=lambda layer: layer.name)
def test_the_page_is_current(layer: Layer) -> None:
    """`python -m tests.mutation --page` writes it anew."""
    assert path_of(layer).read_text() == render(layer)


def test_a_defence_is_told_under_its_first_attack_and_named_under_the_others() -> None:
    edit = Edit("credential_proxy/upstream/pool.py", "a", "b")
    tests = ("tests/unit/x/test_a.py::test_b", "tests/integration/x/test_c.py::test_d[e|f]")
    defence = Defence("one", ("1", "2"), "an | attack", "403", (edit,), tests)
    text = render(Layer("box", "the box", {"1": "First", "2": "Second"}, (defence,)))
    line = (
        "| an \\| attack | 403 | `upstream/pool`: `one` |"
        " unit `test_a`: `test_b`<br>integration `test_c`: `test_d[e\\|f]` |"
    )
    assert text.startswith("# Attacks on the box\n")
    assert text.count(line) == 1
    assert text.index(line) < text.index("## Second") < text.index("See also `one`.")
