from hypothesis import given
from hypothesis import strategies as st

from hakoiri.credential_proxy.metrics.rule_labels import RuleLabels


@given(st.lists(st.sampled_from([None, "a", "b", "c", "d"])))
def test_neither_one_tenant_nor_all_get_more_than_their_limit(tenants: list[str | None]) -> None:
    labels = RuleLabels(limit=7, per_tenant_limit=3)
    admitted = [tenant for tenant in tenants if labels.admit(tenant)]
    assert len(admitted) <= 7
    for tenant in set(tenants):
        assert admitted.count(tenant) == min(3, tenants.count(tenant)) or len(admitted) == 7


def test_one_tenant_leaves_room_for_the_others() -> None:
    labels = RuleLabels()
    for _ in range(10_000):
        labels.admit("greedy")
    assert labels.admit("modest")
