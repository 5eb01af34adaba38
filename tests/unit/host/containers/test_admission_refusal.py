import pytest

from hakoiri.host.containers.admission import Refusal
from hakoiri.host.containers.admission_refusal import refusal_error
from hakoiri.host.containers.ports import (
    CapacityError,
    ContainersError,
    StoppingError,
    WorkspaceGoneError,
)


@pytest.mark.parametrize("refusal", Refusal)
def test_every_refusal_is_an_error_of_its_kind(refusal: Refusal) -> None:
    kinds: dict[Refusal, type[ContainersError]] = {
        Refusal.STOPPING: StoppingError,
        Refusal.GONE: WorkspaceGoneError,
    }
    error = refusal_error(refusal, slots=3, reason="places", retry_after_s=7)
    assert type(error) is kinds.get(refusal, CapacityError)


@pytest.mark.parametrize(
    ("refusal", "setting"),
    [
        (Refusal.LINE_FULL, "HAKOIRI_ADMISSION__QUEUE_LIMIT"),
        (Refusal.TENANT_FULL, "HAKOIRI_ADMISSION__TENANT_LIMIT"),
        (Refusal.WAITED, "HAKOIRI_ADMISSION__WAIT_S"),
    ],
)
def test_it_names_the_setting_the_time_and_what_lacks(refusal: Refusal, setting: str) -> None:
    error = refusal_error(refusal, slots=3, reason="places", retry_after_s=7)
    assert setting in str(error)
    assert "all 3 containers are in use" in str(error)
    assert "try again in 7 s" in str(error)
    assert isinstance(error, CapacityError)
    assert error.retry_after_s == 7
    short = refusal_error(refusal, slots=3, reason="memory", retry_after_s=7)
    assert "short of memory" in str(short)
