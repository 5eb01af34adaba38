from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.mutation.catalogue import ROOT, Defence, Edit
from tests.mutation.runner import (
    Run,
    compiled_source,
    fault_of_whole,
    is_of,
    judge,
    linked_source,
    try_one,
)
from tests.mutation.tried import Verdict

NODE = "tests/unit/credential_proxy/test_addresses.py::test_a_special_address_is_refused"
LINE = '        ("10.0.0.0/8", "private"),\n'
FILE = "credential_proxy/addresses.py"


def defence(*tests: str, find: str = LINE, replace: str = "") -> Defence:
    return Defence("d", ("1",), "an attack", "403", (Edit(FILE, find, replace),), tests)


@pytest.mark.parametrize(
    ("exit_code", "ended", "verdict"),
    [
        (1, {"a::t": "failed"}, Verdict.CAUGHT),
        (1, {"a::t[1]": "passed", "a::t[2]": "failed"}, Verdict.CAUGHT),
        (0, {"a::t": "passed"}, Verdict.SURVIVED),
        (1, {"a::t": "passed", "a::other": "failed"}, Verdict.SURVIVED),
        (0, {"a::t": "skipped"}, Verdict.SURVIVED),
        (1, {"a::t": "broken"}, Verdict.BROKEN),
        (1, {"a::t[1]": "failed", "a::t[2]": "broken"}, Verdict.BROKEN),
        *((code, {"a::t": "failed"}, Verdict.BROKEN) for code in (2, 3, 4, 5, 9, -9)),
    ],
)
def test_only_a_failed_test_is_a_catch(
    exit_code: int, ended: dict[str, str], verdict: Verdict
) -> None:
    assert judge(defence("a::t"), Run(exit_code, ended, ""))[0] is verdict


def test_each_of_the_tests_must_fail() -> None:
    run = Run(1, {"a::t": "failed", "a::u": "passed"}, "")
    verdict, reason = judge(defence("a::t", "a::u"), run)
    assert (verdict, reason) == (Verdict.SURVIVED, "a::u does not fail")


def test_a_test_is_known_by_its_name_or_one_of_its_cases() -> None:
    assert is_of("a::t", "a::t")
    assert is_of("a::t[x]", "a::t")
    assert not is_of("a::t_more", "a::t")
    assert not is_of("a::t[x]", "a::t[y]")


@pytest.fixture(scope="module")
def compiled() -> Iterator[Path]:
    with compiled_source() as source:
        yield source


def test_a_mutant_leaves_the_other_copies_as_they_are(compiled: Path) -> None:
    whole = (ROOT / "src/hakoiri" / FILE).read_text()
    with linked_source(compiled) as source, linked_source(compiled) as other:
        defence().take_out(source)
        assert (source / "hakoiri" / FILE).read_text() == whole.replace(LINE, "")
        for place in (other, compiled, ROOT / "src"):
            assert (place / "hakoiri" / FILE).read_text() == whole
    assert not source.exists()


def test_a_mutant_is_run_in_place_of_the_package(compiled: Path) -> None:
    """One for each verdict, as `make mutants` runs them."""
    unseen = "tests/unit/credential_proxy/test_addresses.py::test_no_address_is_a_refusal"
    nonsense = defence(
        NODE, find="    if isinstance(address, IPv4Address):\n", replace="    if z:\n"
    )
    for tried, verdict in (
        (defence(NODE), Verdict.CAUGHT),
        (defence(unseen), Verdict.SURVIVED),
        (nonsense, Verdict.BROKEN),
    ):
        result = try_one(tried, compiled=compiled)
        assert (result.verdict, result.defence) == (verdict, tried), result.reason


def test_the_whole_must_pass(compiled: Path) -> None:
    assert fault_of_whole([NODE], compiled=compiled) is None
    nothing = ["tests/unit/nothing.py::test_x"]
    assert "do not pass" in (fault_of_whole(nothing, compiled=compiled) or "")
