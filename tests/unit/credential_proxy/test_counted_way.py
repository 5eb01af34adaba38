from typing import Any

import pytest

from hakoiri.credential_proxy.authority import Authority
from hakoiri.credential_proxy.binding import Binding
from hakoiri.credential_proxy.configuration import parse_configuration
from hakoiri.credential_proxy.decision import Forward, Refuse
from hakoiri.credential_proxy.exchange import decide
from hakoiri.credential_proxy.framing import RequestHead
from hakoiri.wire.policy import Policy
from hakoiri.wire.proxy import Bind

CREDENTIALS = """
[credentials.anthropic]
kind = "header"
header = "x-api-key"
value_env = "KEY"
hosts = ["api.anthropic.com", "gateway.example.com"]
[credentials.placed]
kind = "secret"
value_env = "KEY"
hosts = ["api.anthropic.com"]
[credentials.bedrock]
kind = "aws"
services = ["bedrock", "dynamodb"]
regions = ["us-east-1"]
[credentials.vpc]
kind = "aws"
[credentials.vpc.hosts]
"vpce.example.com" = { service = "bedrock", region = "us-east-1" }
[credentials.git]
kind = "bearer"
value_env = "KEY"
hosts = ["git.example.com"]
"""
TOKENS = "[budgets.workspace]\nmodel_tokens_per_day = 5\n"
BYTES = "[budgets.workspace]\nbytes_up_per_day = 5\n"


def asked(host: str, budgets: str = TOKENS, **policy: Any) -> Forward | Refuse:
    bind = Bind(workspace="w", tenant="t", generation=1, policy=Policy.model_validate(policy))
    head = RequestHead(
        method="POST",
        target="/v1/messages",
        version=(1, 1),
        headers=(("host", host),),
        intercepted=Authority(host, 443),
    )
    configuration = parse_configuration(CREDENTIALS + budgets)
    return decide(head, binding=Binding.of(bind), configuration=configuration)


@pytest.mark.parametrize(
    ("host", "rule"),
    [
        ("api.anthropic.com", {"credential": "anthropic"}),
        ("gateway.example.com", {"credential": "anthropic"}),
        ("api.anthropic.com", {"secrets": ["placed"]}),
        ("bedrock-runtime.us-east-1.amazonaws.com", {"credential": "bedrock"}),
        ("vpce.example.com", {"credential": "vpc"}),
    ],
)
def test_a_rule_does_not_lead_to_a_model_past_a_budget(host: str, rule: dict[str, Any]) -> None:
    rules = [{"host": host, **rule}]
    refused = asked(host, rules=rules)
    assert isinstance(refused, Refuse)
    assert (refused.status, refused.code) == (403, "model-not-counted")
    assert isinstance(asked(host, BYTES, rules=rules), Forward)
    by_policy = asked(host, "", rules=rules, budget={"spend_usd_per_day": 1})
    assert isinstance(by_policy, Refuse)


@pytest.mark.parametrize(
    ("host", "rule"),
    [
        ("git.example.com", {"credential": "git"}),
        ("dynamodb.us-east-1.amazonaws.com", {"credential": "bedrock"}),
        ("plain.example.com", {"methods": ["POST"]}),
    ],
)
def test_what_is_no_model_is_as_free_as_before(host: str, rule: dict[str, Any]) -> None:
    assert isinstance(asked(host, rules=[{"host": host, **rule}]), Forward)
