import pytest

from hakoiri.cli.doctor.coordination_checks import RedisFacts, check_redis
from hakoiri.cli.doctor.finding import State


@pytest.mark.parametrize(
    ("facts", "state", "told"),
    [
        (RedisFacts("7.0.15", "noeviction"), State.OK, "Redis 7.0.15"),
        (RedisFacts("7.0.15", "allkeys-lru"), State.OK, "Redis 7.0.15"),  # without a limit
        (RedisFacts("7.0.15", "noeviction", 1000), State.OK, "Redis 7.0.15"),
        (RedisFacts("7.0.15", "allkeys-lru", 1000), State.WARNING, "allkeys-lru"),
        (RedisFacts("5.0.3", "noeviction"), State.MISSING, "5.0.3"),
        (RedisFacts(), State.MISSING, "of no version"),
        (RedisFacts(problem="Connection refused"), State.MISSING, "Connection refused"),
    ],
)
def test_redis_is_judged(facts: RedisFacts, state: State, told: str) -> None:
    finding = check_redis(facts)
    assert finding.state is state
    assert told in finding.text
    assert bool(finding.mend) is (state is not State.OK)
