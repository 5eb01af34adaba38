import pytest
from pydantic import ValidationError

from hakoiri.wire.keeping import DAY_S, LIFETIME_MAX_S, LIFETIME_MIN_S, Keeping
from hakoiri.wire.policy import Policy


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("idle_timeout_s", 0),
        ("idle_timeout_s", DAY_S + 1),
        ("idle_timeout_s", float("nan")),
        ("pause_after_s", 0.5),
        ("pause_after_s", float("inf")),
        ("lifetime_s", LIFETIME_MIN_S - 1),
        ("lifetime_s", LIFETIME_MAX_S + 1),
        ("lifetime_s", "never"),
        ("stop_grace_s", 1),
    ],
)
def test_what_is_out_of_bounds_or_unknown_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValidationError, match=rf"container\.{field}"):
        Policy.model_validate({"container": {field: value}})


def test_what_is_not_given_is_the_servers() -> None:
    policy = Policy.model_validate({"container": {"idle_timeout_s": 300}})
    assert policy.container == Keeping(idle_timeout_s=300)
    assert Policy.model_validate_json(policy.model_dump_json()) == policy
    assert Policy().container is None
