import pytest

from hakoiri.credential_proxy.binding import Binding, PolicyTooWideError, check_policy
from hakoiri.credential_proxy.configuration import parse_configuration
from hakoiri.wire.policy import ModelRoute, Policy
from hakoiri.wire.proxy import Bind

CONFIGURATION = parse_configuration("""
[credentials.one]
kind = "aws"
services = ["bedrock"]
regions = ["us-east-1"]
models = ["a", "b"]
[credentials.many]
kind = "aws"
services = ["bedrock"]
regions = ["us-east-1", "eu-west-1"]
[credentials.anthropic]
kind = "header"
header = "x-api-key"
value_env = "KEY"
hosts = ["api.anthropic.com"]
[credentials.other]
kind = "header"
header = "x-api-key"
value_env = "KEY"
hosts = ["api.example.com"]
""")


def route(**fields: object) -> Policy:
    return Policy(model=ModelRoute.model_validate(fields))


@pytest.mark.parametrize(
    "policy",
    [
        Policy(),
        route(provider="bedrock", credential="one"),
        route(provider="bedrock", credential="one", region="us-east-1", models=["a"]),
        route(provider="bedrock", credential="many", region="eu-west-1", models=["any"]),
        route(provider="anthropic", credential="anthropic", models=["any"]),
    ],
)
def test_a_policy_that_names_and_narrows_is_taken(policy: Policy) -> None:
    check_policy(policy, CONFIGURATION)


@pytest.mark.parametrize(
    ("policy", "field"),
    [
        (route(provider="bedrock", credential="absent"), "model.credential"),
        (route(provider="bedrock", credential="anthropic"), "model.credential"),
        (route(provider="anthropic", credential="one"), "model.credential"),
        (route(provider="anthropic", credential="other"), "model.credential"),
        (route(provider="bedrock", credential="many"), "model.region"),
        (route(provider="bedrock", credential="one", region="eu-west-1"), "model.region"),
        (route(provider="bedrock", credential="one", models=["a", "c"]), "model.models"),
    ],
)
def test_a_policy_that_is_wider_is_refused_by_the_field(policy: Policy, field: str) -> None:
    with pytest.raises(PolicyTooWideError, match=field):
        check_policy(policy, CONFIGURATION)


def test_a_binding_holds_the_policys_whitelist() -> None:
    policy = Policy.model_validate({"rules": [{"host": "a.test"}]})
    binding = Binding.of(Bind(workspace="w", tenant="t", generation=2, policy=policy))
    assert (binding.workspace, binding.tenant, binding.generation) == ("w", "t", 2)
    assert binding.whitelist.ports_by_pattern == {"a.test": frozenset({443})}
