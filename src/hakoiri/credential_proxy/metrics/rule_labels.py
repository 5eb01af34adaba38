"""How many rules get figures of their own.

Rules come from policies, which tenants write: one who writes many must not fill the memory of the
proxy and of Prometheus, nor take the place of the others' rules.
"""

from collections import Counter
from typing import Final

RULES_LIMIT: Final = 100
RULES_PER_TENANT_LIMIT: Final = 25
"""More rules of one tenant, or of all, are counted together."""


class RuleLabels:
    """Admits rules for the life of the process; a rule that two tenants have counts once."""

    def __init__(
        self, *, limit: int = RULES_LIMIT, per_tenant_limit: int = RULES_PER_TENANT_LIMIT
    ) -> None:
        self._limit = limit
        self._per_tenant_limit = per_tenant_limit
        self._admitted: Counter[str | None] = Counter()

    def admit(self, tenant: str | None) -> bool:
        """Whether one more rule, first seen in a request of `tenant`, is counted by itself."""
        if self._admitted.total() >= self._limit:
            return False
        if self._admitted[tenant] >= self._per_tenant_limit:
            return False
        self._admitted[tenant] += 1
        return True
