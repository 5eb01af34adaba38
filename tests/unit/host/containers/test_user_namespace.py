import pytest
from structlog.testing import capture_logs

from hakoiri.host.containers.ports import EngineError
from hakoiri.host.containers.testing import MemoryEngine
from hakoiri.host.containers.user_namespace import tell_user_namespace

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("owner", "level"), [(1000, "warning"), (166_536, "info")])
async def test_the_log_says_whether_users_are_mapped(owner: int, level: str) -> None:
    with capture_logs() as told:
        await tell_user_namespace(MemoryEngine(owner_uid=owner))
    (line,) = told
    assert (line["event"], line["remapped"]) == ("user_namespace", owner != 1000)
    assert line["log_level"] == level
    assert ("mend" in line) is (owner == 1000)


async def test_an_engine_that_is_away_is_an_error() -> None:
    with pytest.raises(EngineError):
        await tell_user_namespace(MemoryEngine(fail={"has_user_namespaces"}))
