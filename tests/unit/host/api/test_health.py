import pytest
from tests.unit.host.api.served import Served

pytestmark = pytest.mark.anyio


async def test_readiness_is_503_with_reasons_until_a_turn_can_start() -> None:
    served = Served()
    async with served.client() as client:
        assert (await client.get("/ready")).json() == {"ready": True, "reasons": []}
        served.reasons = ["the engine is away", "x" * 5000]
        not_ready = await client.get("/ready")
        assert not_ready.status_code == 503
        assert not_ready.json()["reasons"] == ["the engine is away", "x" * 500]
        assert (await client.get("/health")).json() == {"status": "ok"}
