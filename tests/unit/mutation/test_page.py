import pytest
from tests.mutation.catalogue import Defence, Edit, Layer, load_all
from tests.mutation.page import path_of, render
from tests.mutation.tried import Trial, Verdict, digest_of, read


@pytest.mark.parametrize("layer", load_all(), ids=lambda layer: layer.name)
def test_the_page_is_current(layer: Layer) -> None:
    """Of the catalogue and of what was tried: `python -m tests.mutation --page` writes it anew."""
    assert path_of(layer).read_text() == render(layer, read())


def test_a_defence_is_told_under_its_first_attack_and_named_under_the_others() -> None:
    edit = Edit("credential_proxy/upstream/pool.py", "a", "b")
    tests = ("tests/unit/x/test_a.py::test_b", "tests/integration/x/test_c.py::test_d[e|f]")
    defence = Defence("one", ("1", "2"), "an | attack", "403", (edit,), tests)
    text = render(Layer("box", "the box", {"1": "First", "2": "Second"}, (defence,)), {})
    line = (
        "| an \\| attack | 403 | `upstream/pool`: `one` (**untried**) |"
        " unit `test_a`: `test_b`<br>integration `test_c`: `test_d[e\\|f]` |"
    )
    assert text.startswith("# Attacks on the box\n")
    assert text.count(line) == 1
    assert text.index(line) < text.index("## Second") < text.index("See also `one`.")


def test_the_page_says_which_were_tried_as_they_are_now() -> None:
    edit = Edit("a.py", "a", "b")
    one, two, three = (
        Defence(name, ("1",), "an attack", "403", (edit,), (f"tests/unit/x/test_a.py::{name}",))
        for name in ("one", "two", "three")
    )
    layer = Layer("box", "the box", {"1": "First"}, (one, two, three))

    def trial(defence: Defence, verdict: Verdict = Verdict.CAUGHT, digest: str = "") -> Trial:
        return Trial(defence.id, verdict, "2026-11-27", "abc", digest or digest_of(defence))

    trials = {
        "one": trial(one),
        "two": trial(two, digest="another"),
        "three": trial(three, Verdict.SURVIVED),
    }
    text = render(layer, trials)
    assert "1 of the 3 defences, as they are here, were taken out" in text
    assert "`a`: `one` |" in text
    assert "`a`: `two` (**untried**) |" in text
    assert "`a`: `three` (**untried**) |" in text
    assert "Each of the 3 defences was taken out" in render(
        layer, {defence.id: trial(defence) for defence in layer.defences}
    )
