import pytest
from pydantic import ValidationError

from hakoiri.wire.policy_test import Explanation, PolicyTest, Step


def test_a_question_is_a_policy_and_a_request() -> None:
    asked = PolicyTest.model_validate_json('{"policy": {}, "url": "https://a.test/"}')
    assert (asked.method, asked.policy.rules) == ("GET", [])


@pytest.mark.parametrize("method", ["get", "", "G T", "X" * 33])
def test_a_method_is_a_token_in_upper_case(method: str) -> None:
    with pytest.raises(ValidationError):
        PolicyTest.model_validate({"policy": {}, "method": method, "url": "/"})


def test_an_explanation_survives_the_wire() -> None:
    told = Explanation(
        verdict="refused",
        code="host-not-allowed",
        reason="r",
        steps=[Step(check="host", result="failed", text="r")],
    )
    assert Explanation.model_validate_json(told.model_dump_json()) == told
