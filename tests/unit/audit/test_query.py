import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hakoiri.audit.query import AuditQuery, BadCursorError, CursorSeal


def test_an_end_of_a_page_is_its_tenants_and_its_readers() -> None:
    seal = CursorSeal()
    text = seal.seal({"server": 12, "proxy": 3}, tenant="shop")
    assert seal.open(text, tenant="shop") == {"server": 12, "proxy": 3}
    for other, tenant in ((seal, "toys"), (seal, None), (CursorSeal(), "shop")):
        with pytest.raises(BadCursorError):
            other.open(text, tenant=tenant)


def test_it_does_not_tell_what_is_in_it() -> None:
    one, other = (CursorSeal().seal({"server": 12}, tenant=None) for _ in range(2))
    assert one != other
    assert "server" not in one


@given(st.text(max_size=200))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(BadCursorError):
        CursorSeal().open(text, tenant=None)


@pytest.mark.parametrize(
    "asked",
    [
        {"limit": 0},
        {"limit": 201},
        {"events": ["unheard_of"]},
        {"events": ["turn_started"] * 33},
        {"workspace": ""},
        {"text": "x" * 129},
        {"text": "line\nbreak"},
        {"since_ms": -1},
        {"before": "x" * 1025},
        {"chain": "server"},
    ],
)
def test_a_question_is_closed_and_bounded(asked: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        AuditQuery.model_validate(asked)
