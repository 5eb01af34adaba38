import pytest

from hakoiri.host.container_settings import ContainerSettings
from hakoiri.host.containers.gc_limits import gc_limits
from hakoiri.host.settings import Settings


@pytest.mark.parametrize(("most_s", "counts_s"), [(None, 900), (7200, 7200)])
def test_the_settings_count(most_s: float | None, counts_s: float) -> None:
    given = ContainerSettings(
        idle_timeout_s=900,
        idle_timeout_max_s=most_s,
        lifetime_s=5000,
        pause_after_s=30,
        start_timeout_s=40,
    )
    limits = gc_limits(Settings(container=given))
    assert (limits.idle_timeout_s, limits.idle_timeout_max_s) == (900, counts_s)
    assert (limits.lifetime_s, limits.pause_after_s) == (5000, 30)
    assert limits.stray_grace_s == 100, "longer than any start"


def test_a_pause_of_nothing_is_none() -> None:
    given = ContainerSettings(pause_after_s=0)
    assert gc_limits(Settings(container=given)).pause_after_s is None
