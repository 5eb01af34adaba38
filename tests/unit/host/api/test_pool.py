import pytest
from tests.unit.host.api.served import Served, problem
from tests.unit.host.containers.fleet import pool_of

pytestmark = pytest.mark.anyio

SET = pool_of(0, 1, 2).model_dump(mode="json")


async def test_the_pool_is_shown_set_and_reset() -> None:
    served = Served()
    async with served.client() as client:
        shown = (await client.get("/v1/pool")).json()
        assert (shown["source"], shown["runtimes"]["runc"]["state"]) == ("settings", "off")
        put = await client.put("/v1/pool", json=SET)
        assert (put.status_code, put.json()["source"]) == (200, "stored")
        assert put.json()["runtimes"]["runc"]["reason"] == "0 of 1 are ready"
        assert served.pool_store.kept is not None
        reset = await client.delete("/v1/pool")
        assert reset.json()["configuration"] == shown["configuration"]
        assert served.pool_store.kept is None


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"runtimes": {"runc": {"min": 2, "target": 1, "max": 3}}}, "min <= target <= max"),
        ({"runtimes": {"kata": {"min": 0, "target": 0, "max": 0}}}, "runtimes.kata"),
        ({"runtimes": {"runc": {"min": 0, "target": 0, "max": 100_000}}}, "runc.max"),
        ({"max_age_s": 0}, "max_age_s"),
        ({"refills_at_once": 1000}, "refills_at_once"),
        ({"surprise": 1}, "surprise"),
    ],
)
async def test_a_setting_that_cannot_be_is_refused_by_its_field(
    change: dict[str, object], named: str
) -> None:
    served = Served()
    async with served.client() as client:
        refused = await client.put("/v1/pool", json=SET | change)
        assert (refused.status_code, problem(refused)) == (422, "invalid-request")
        assert named in refused.json()["detail"]
    assert served.pool_store.kept is None


async def test_a_setting_that_cannot_be_kept_is_a_problem_of_the_server() -> None:
    served = Served()
    served.pool_store.fails = True
    async with served.client() as client:
        refused = await client.put("/v1/pool", json=SET)
        assert (refused.status_code, problem(refused)) == (503, "pool-not-stored")


async def test_other_tenants_neither_see_nor_set_the_pool() -> None:
    served = Served(require_keys=True)
    async with served.client() as client:
        bearer = {}
        for tenant in ("default", "red"):
            _, text = await served.keys.create_key(name="n", tenant=tenant)
            bearer[tenant] = {"Authorization": f"Bearer {text}"}
        assert (await client.get("/v1/pool", headers=bearer["default"])).status_code == 200
        for method, body in (("GET", None), ("PUT", SET), ("DELETE", None)):
            refused = await client.request(method, "/v1/pool", json=body, headers=bearer["red"])
            assert (refused.status_code, problem(refused)) == (403, "pool-not-allowed")
    assert served.pool_store.kept is None
