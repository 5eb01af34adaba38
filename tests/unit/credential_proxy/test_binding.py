from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakoiri.credential_proxy.authority import Authority
from hakoiri.credential_proxy.binding import Binding, PolicyTooWideError, check_policy
from hakoiri.credential_proxy.configuration import Configuration, parse_configuration
from hakoiri.credential_proxy.decision import Refuse
from hakoiri.credential_proxy.errors import ConfigurationError
from hakoiri.credential_proxy.exchange import decide
from hakoiri.credential_proxy.framing import RequestHead
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
[credentials.buckets]
kind = "aws"
services = ["s3"]
regions = ["us-east-1"]
buckets = ["*"]
[credentials.anthropic]
kind = "header"
header = "x-api-key"
value_env = "KEY"
hosts = ["api.anthropic.com"]
[credentials.token]
kind = "secret"
value_env = "TOKEN"
hosts = ["vault.example.com"]
[credentials.moved]
kind = "header"
header = "x-api-key"
value_env = "KEY"
hosts = ["moved.example.com"]
endpoint = "https://gateway.example.com:8443"
[credentials.ported]
kind = "bearer"
value_env = "KEY"
hosts = ["ported.example.com"]
ports = [443, 9443]
[credentials.local]
kind = "header"
header = "x-api-key"
value_env = "KEY"
hosts = ["local.example.com"]
endpoint = "http://127.0.0.1:9999"
[network]
allow_addresses = ["127.0.0.1:9999"]
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
    check_policy(policy, CONFIGURATION, tenant="t")


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
        check_policy(policy, CONFIGURATION, tenant="t")


def test_a_binding_holds_the_policys_whitelist() -> None:
    policy = Policy.model_validate({"rules": [{"host": "a.test"}]})
    binding = Binding.of(Bind(workspace="w", tenant="t", generation=2, policy=policy))
    assert (binding.workspace, binding.tenant, binding.generation) == ("w", "t", 2)
    assert binding.whitelist.decide(Authority("a.test", 443)).is_allowed
    other = Policy.model_validate({"rules": [{"host": "b.test"}]})
    again = Binding.of(Bind(workspace="w", tenant="t", generation=2, policy=other))
    assert binding.digest != again.digest


def rules(*given: Mapping[str, object]) -> Policy:
    return Policy.model_validate({"rules": given})


API = {"host": "api.example.com", "credential": "other"}


@pytest.mark.parametrize(
    "policy",
    [
        rules(API),
        rules({**API, "methods": ["GET"], "paths": ["/v1/**"]}),
        rules({"host": "api.example.com", "intercept": True}),
        rules({"host": "*.example.com"}),
        rules({"host": "bedrock-runtime.us-east-1.amazonaws.com", "credential": "many"}),
        rules({"host": "*.s3.us-east-1.amazonaws.com", "credential": "buckets"}),
        rules({"host": "any.s3.us-east-1.amazonaws.com", "credential": "buckets"}),
        rules({"host": "vault.example.com", "secrets": ["token"]}),
        rules({"host": "moved.example.com", "credential": "moved", "ports": [8443]}),
        rules({"host": "ported.example.com", "credential": "ported", "ports": [9443]}),
        rules({"host": "127.0.0.1", "ports": [9998]}),
    ],
)
def test_a_rule_that_names_and_narrows_is_taken(policy: Policy) -> None:
    check_policy(policy, CONFIGURATION, tenant="t")


@pytest.mark.parametrize(
    ("policy", "field"),
    [
        (rules({"host": "api.example.com", "credential": "absent"}), "rules.0.credential"),
        (rules({"host": "b.test"}, {**API, "host": "b.example.com"}), "rules.1.credential"),
        (rules({**API, "host": "*.example.com"}), "rules.0.credential"),
        (rules({**API, "ports": [443, 8443]}), "rules.0.ports"),
        (
            rules({"host": "ported.example.com", "credential": "ported", "ports": [8443]}),
            "rules.0.ports",
        ),
        (rules({**API, "unsigned_payload": True}), "rules.0.unsigned_payload"),
        (rules({"host": "api.example.com"}), "rules.0.*raw"),
        (rules(API, {"host": "api.example.com", "ports": [8443]}), "rules.1.*raw"),
        (rules({"host": "gateway.example.com", "ports": [8443]}), "rules.0.*raw"),
        (rules({"host": "127.0.0.1", "ports": [80, 9999]}), "rules.0: 127.0.0.1:9999.*raw"),
        (
            rules({"host": "bedrock-runtime.us-east-1.amazonaws.com", "credential": "one"}),
            "rules.0.credential.*model",
        ),
        (rules({"host": "any.s3.us-east-1.amazonaws.com"}), "rules.0.*raw"),
        (rules({"host": "*.s3.us-east-1.amazonaws.com"}), "rules.0.*raw"),
        (rules({"host": "*.us-east-1.amazonaws.com", "credential": "buckets"}), "rules.0.cred"),
        (rules({"host": "vault.example.com", "secrets": ["token"], "ports": [444]}), "secrets"),
        (rules({"host": "vault.example.com", "credential": "token"}), "rules.0.credential"),
        (rules({"host": "b.test", "paths": ["/a", "/b%2fc"]}), "rules.0.paths: '/b%2fc'"),
        (rules({"host": "b.test", "paths": ["/%7Ea/**"]}), "rules.0.paths"),
        (rules({"host": "a.example.com", "secrets": ["token"]}), "rules.0.secrets"),
        (rules({"host": "api.example.com", "secrets": ["other"]}), "rules.0.secrets"),
    ],
)
def test_a_rule_that_is_wider_is_refused_by_the_field(policy: Policy, field: str) -> None:
    with pytest.raises(PolicyTooWideError, match=field):
        check_policy(policy, CONFIGURATION, tenant="t")


BEDROCK_HOST = "bedrock-runtime.us-east-1.amazonaws.com"
BUCKET_HOST = "any.s3.us-east-1.amazonaws.com"
INJECTED_HOSTS = sorted({*CONFIGURATION.injected_hosts, BUCKET_HOST})
CREDENTIALS: dict[str, dict[str, object]] = {
    "api.example.com": {"credential": "other"},
    "moved.example.com": {"credential": "moved"},
    "vault.example.com": {"secrets": ["token"]},
    BEDROCK_HOST: {"credential": "many"},
    BUCKET_HOST: {"credential": "buckets"},
    "*.s3.us-east-1.amazonaws.com": {"credential": "buckets"},
}
HOSTS = [*CREDENTIALS, "*.example.com", "*.amazonaws.com", "*.us-east-1.amazonaws.com", "b.test"]
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "ports": st.lists(st.sampled_from([80, 443, 8443]), min_size=1, max_size=2),
        "methods": st.lists(st.sampled_from(["GET", "POST"]), max_size=2),
        "paths": st.lists(st.sampled_from(["/", "/a/**"]), max_size=2),
        "intercept": st.booleans(),
        "credential": st.sampled_from(["one", "other", "buckets", "absent", "token"]),
    },
)


@st.composite
def rule_documents(draw: st.DrawFn) -> dict[str, object]:
    """Mostly rules that load: a host, what may be put in there or nothing, and narrowings."""
    host = draw(st.sampled_from(HOSTS))
    injected = CREDENTIALS.get(host, {}) if draw(st.booleans()) else {}
    options = draw(OPTIONS)
    if draw(st.integers(0, 3)):
        options.pop("credential", None)
    return {"host": host, **options, **injected}


RULES = rule_documents()


def inside(host: str, port: int, method: str, target: str) -> RequestHead:
    return RequestHead(method, target, (1, 1), (), Authority(host, port))


@given(
    given_rules=st.lists(RULES, max_size=5),
    host=st.sampled_from(INJECTED_HOSTS),
    port=st.sampled_from([80, 443, 8443]),
)
def test_what_is_injected_is_a_subset_of_what_is_enforced(
    given_rules: list[dict[str, object]], host: str, port: int
) -> None:
    """Of any policy that loads, no host that gets a credential can be reached raw.

    What is injected inside TLS goes to a host that the proxy's file has it for.
    """
    policy = rules(*given_rules)
    try:
        check_policy(policy, CONFIGURATION, tenant="t")
    except PolicyTooWideError:
        return
    binding = Binding.of(Bind(workspace="w", tenant="t", generation=1, policy=policy))
    for method, target in (
        ("CONNECT", f"{host}:{port}"),
        ("GET", f"http://{host}:{port}/a/b"),
        ("POST", f"http://{host}:{port}/"),
    ):
        head = RequestHead(method=method, target=target, version=(1, 1), headers=())
        decision = decide(head, binding=binding, configuration=CONFIGURATION)
        assert isinstance(decision, Refuse) or decision.route == "intercept"
    for method, target in (("GET", "/a/b"), ("POST", "/")):
        head = inside(host, port, method, target)
        decision = decide(head, binding=binding, configuration=CONFIGURATION)
        if isinstance(decision, Refuse):
            continue
        assert decision.upstream.scheme == "https"
        injected = {decision.injection.credential} if decision.injection else set()
        for name in injected | decision.secrets:
            credential = CONFIGURATION.credentials[name]
            assert credential.is_for(host)
            assert port == 443 or credential.parsed_endpoint is not None


@pytest.mark.parametrize(
    ("name", "policy"),
    [
        ("other", rules({"host": "api.example.com", "credential": "other"})),
        ("token", rules({"host": "vault.example.com", "secrets": ["token"]})),
        ("anthropic", route(provider="anthropic", credential="anthropic")),
    ],
)
def test_another_tenants_credential_is_as_if_it_were_not_there(name: str, policy: Policy) -> None:
    owned = CONFIGURATION.credentials[name].model_copy(update={"tenants": ["acme"]})
    others = {k: v for k, v in CONFIGURATION.credentials.items() if k != name}
    network = CONFIGURATION.network
    configuration = Configuration(credentials={**others, name: owned}, network=network)
    check_policy(policy, configuration, tenant="acme")
    with pytest.raises(PolicyTooWideError) as refused:
        check_policy(policy, configuration, tenant="t")
    with pytest.raises(PolicyTooWideError) as absent:
        check_policy(policy, Configuration(credentials=others, network=network), tenant="t")
    assert str(refused.value) == str(absent.value)


def test_a_credential_of_no_tenant_is_a_mistake() -> None:
    with pytest.raises(ConfigurationError, match="tenants"):
        parse_configuration(
            '[credentials.a]\ntenants = []\nkind = "bearer"\nvalue_env = "K"\nhosts = ["a.test"]'
        )
