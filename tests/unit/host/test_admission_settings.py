import pytest
from pydantic import ValidationError

from hakoiri.host.admission_settings import AdmissionSettings


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"pressure_hold_percent": 30}, "pressure_hold_percent <= "),
        ({"pressure_wait_percent": 15}, "pressure_hold_percent <= "),
        ({"available_hold_percent": 4}, "available_hold_percent >= "),
        ({"available_wait_percent": 20}, "available_hold_percent >= "),
        ({"wait_s": 0}, "wait_s"),
        ({"memory_overcommit": 0.5}, "memory_overcommit"),
    ],
)
def test_levels_come_in_order_and_values_within_bounds(given: dict[str, float], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        AdmissionSettings.model_validate(given)


def test_levels_may_be_one() -> None:
    same = {f"pressure_{level}_percent": 30 for level in ("hold", "drain", "wait")}
    assert AdmissionSettings.model_validate(same).pressure_hold_percent == 30
