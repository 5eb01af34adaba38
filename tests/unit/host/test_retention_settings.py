import pytest
from pydantic import ValidationError

from hakoiri.host.files.points import Retention
from hakoiri.host.retention_settings import AGE_MIN_S, RetentionSettings


def test_without_settings_all_is_as_the_lists_have_it() -> None:
    given, usual = RetentionSettings(), Retention()
    assert (given.points, given.running_points) == (usual.points, usual.running_points)
    assert given.kept_points == usual.kept_points
    assert usual.max_age is not None
    assert given.age_s == usual.max_age.total_seconds()


@pytest.mark.parametrize(
    "given",
    [
        {"points": 1, "running_points": 1},
        {"points": 20},
        {"age_s": 0},
        {"age_s": AGE_MIN_S},
        {"kept_points": 0},
    ],
)
def test_bounds_may_be_set(given: dict[str, float]) -> None:
    made = RetentionSettings.model_validate(given)
    assert {name: getattr(made, name) for name in given} == given


@pytest.mark.parametrize(
    "given",
    [
        {"points": 19},
        {"points": 0, "running_points": 0},
        {"age_s": AGE_MIN_S - 1},
        {"age_s": "inf"},
        {"age_s": "nan"},
        {"kept_points": -1},
        {"max_points": 1},
    ],
)
def test_what_is_out_of_bounds_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        RetentionSettings.model_validate(given)
