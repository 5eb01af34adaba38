import pytest
from pydantic import ValidationError

from hakoiri.wire.policy import DENY_ALL, Policy, Rule


@pytest.mark.parametrize("host", ["example.com", "*.example.com", "a-b.example.com"])
def test_a_host_is_exact_or_a_suffix(host: str) -> None:
    assert Rule(host=host).host == host


@pytest.mark.parametrize(
    "host", ["*", "*.com", "com", "", "*.*.com", "a.*.com", "EXAMPLE.com", "example.com.", "a b.c"]
)
def test_a_pattern_that_is_too_wide_or_not_canonical_is_refused_at_load(host: str) -> None:
    with pytest.raises(ValidationError):
        Rule(host=host)


def test_the_empty_policy_is_valid_and_allows_nothing() -> None:
    assert Policy.model_validate_json("{}") == DENY_ALL
    assert DENY_ALL.rules == []
    assert DENY_ALL.model is None
