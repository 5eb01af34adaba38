import pytest

from hakoiri.host.conversations.runtime_choice import RuntimeNotAllowedError, choose_runtime
from hakoiri.wire.messages import Runtime
from hakoiri.wire.policy import Policy

BOTH: tuple[Runtime, ...] = ("runc", "runsc")


@pytest.mark.parametrize(
    ("asked", "policy", "allowed", "chosen"),
    [
        (None, [], BOTH, "runc"),
        (None, [], ("runsc", "runc"), "runsc"),
        ("runsc", [], BOTH, "runsc"),
        (None, ["runsc"], BOTH, "runsc"),
        (None, ["runsc", "runc"], ("runc",), "runc"),
        ("runc", ["runsc", "runc"], BOTH, "runc"),
    ],
)
def test_the_wish_counts_then_the_policys_order_then_the_servers(
    asked: Runtime | None, policy: list[Runtime], allowed: tuple[Runtime, ...], chosen: str
) -> None:
    assert choose_runtime(asked, policy=Policy(runtimes=policy), allowed=allowed) == chosen


@pytest.mark.parametrize(
    ("asked", "policy", "allowed", "why"),
    [
        ("runsc", [], ("runc",), "this server does not allow runsc, only runc"),
        ("runc", ["runsc"], BOTH, "the policy does not allow runc, only runsc"),
        (None, ["runsc"], ("runc",), "policy wants runsc, but this server runs runc"),
        ("runsc", ["runsc", "runc"], ("runc",), "this server does not allow runsc, only runc"),
    ],
)
def test_neither_policy_nor_wish_goes_beyond_what_is_allowed(
    asked: Runtime | None, policy: list[Runtime], allowed: tuple[Runtime, ...], why: str
) -> None:
    with pytest.raises(RuntimeNotAllowedError, match=why):
        choose_runtime(asked, policy=Policy(runtimes=policy), allowed=allowed)
