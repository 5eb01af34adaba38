import pytest

from hakoiri.cli.presets.expansion import PresetError, anthropic, bedrock, packages
from hakoiri.cli.presets.package_source import PackageSource
from hakoiri.credential_proxy.authority import Authority
from hakoiri.credential_proxy.binding import PolicyTooWideError, check_policy
from hakoiri.credential_proxy.configuration import Configuration, parse_configuration
from hakoiri.credential_proxy.domain_whitelist import DomainWhitelist
from hakoiri.credential_proxy.explanation import explain

MODEL = "eu.maker.model-v1:0"
PROXY_FILE = """
[credentials.bedrock]
kind = "aws"
source = "chain"
services = ["bedrock"]
regions = ["eu-west-1", "eu-central-1"]

[credentials.anthropic]
kind = "header"
header = "x-api-key"
value_env = "KEY"
hosts = ["api.anthropic.com"]
"""


@pytest.fixture
def configuration() -> Configuration:
    return parse_configuration(PROXY_FILE)


def verdict(policy: object, configuration: Configuration, method: str, url: str) -> str:
    told = explain(method, url, policy=policy, configuration=configuration, tenant="t")  # type: ignore[arg-type]
    return told.code


def test_bedrock_leads_to_the_named_models_in_the_named_region(
    configuration: Configuration,
) -> None:
    policy = bedrock(regions=["eu-west-1"], models=[MODEL], credential="bedrock", sdk=False)
    check_policy(policy, configuration, tenant="t")
    assert policy.rules == []
    assert verdict(policy, configuration, "POST", f"/model/{MODEL}/invoke") == "allowed"
    assert verdict(policy, configuration, "POST", "/model/other/invoke") != "allowed"


def test_sdks_reach_the_models_in_every_region_and_nothing_else_there(
    configuration: Configuration,
) -> None:
    regions = ["eu-west-1", "eu-central-1"]
    policy = bedrock(regions=regions, models=[MODEL], credential="bedrock", sdk=True)
    check_policy(policy, configuration, tenant="t")
    for region in regions:
        site = f"https://bedrock-runtime.{region}.amazonaws.com"
        escaped = MODEL.replace(":", "%3A")
        for path in (f"/model/{escaped}/converse", f"/model/{MODEL}/invoke"):
            assert verdict(policy, configuration, "POST", site + path) == "allowed"
        other = verdict(policy, configuration, "POST", f"{site}/model/other/invoke")
        assert other == "path-not-allowed"
        assert verdict(policy, configuration, "GET", f"{site}/model/{MODEL}/invoke") != "allowed"
    elsewhere = "https://bedrock-runtime.us-east-1.amazonaws.com/model/x/invoke"
    assert verdict(policy, configuration, "POST", elsewhere) == "host-not-allowed"


def test_a_region_that_the_credential_does_not_have_is_refused_when_the_policy_is_set(
    configuration: Configuration,
) -> None:
    policy = bedrock(regions=["us-east-1"], models=[], credential="bedrock", sdk=False)
    with pytest.raises(PolicyTooWideError, match="region"):
        check_policy(policy, configuration, tenant="t")


def test_anthropic_leads_to_its_api(configuration: Configuration) -> None:
    policy = anthropic(models=[], credential="anthropic")
    check_policy(policy, configuration, tenant="t")
    assert verdict(policy, configuration, "POST", "/v1/messages") == "allowed"


def test_packages_are_fetched_and_nothing_is_sent(configuration: Configuration) -> None:
    policy = packages(
        [
            PackageSource("index.example.test", 443, "pip index-url"),
            PackageSource("mirror.example.test", 80, "apt"),
        ]
    )
    check_policy(policy, configuration, tenant="t")
    simple = "https://index.example.test/simple/demo/"
    assert verdict(policy, configuration, "GET", simple) == "allowed"
    assert verdict(policy, configuration, "HEAD", simple) == "allowed"
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        assert verdict(policy, configuration, method, simple) == "method-not-allowed"
    assert verdict(policy, configuration, "GET", "http://mirror.example.test/debian/") == "allowed"
    assert verdict(policy, configuration, "GET", "https://mirror.example.test/") != "allowed"
    assert all(rule.credential is None for rule in policy.rules)


def test_no_package_host_can_be_reached_raw() -> None:
    policy = packages([PackageSource("index.example.test", 443, "pip index-url")])
    whitelist = DomainWhitelist.of(policy.rules)
    assert whitelist.decide(Authority("index.example.test", 443)).is_intercepted


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"regions": []}, "--region"),
        ({"regions": ["Europe"]}, "--region"),
        ({"regions": ["eu-west-1", "Europe"], "sdk": True}, "--region"),
        ({"regions": ["eu-west-1", "eu-central-1"]}, "--sdk"),
        ({"models": [""]}, "--model"),
        ({"models": ["x"] * 10, "credential": "no name"}, "--credential"),
        ({"models": ["arn:aws:bedrock:eu-west-1::m/x"], "sdk": True}, "--model"),
        ({"models": ["*"], "sdk": True}, "--model"),
        ({"models": [str(number) for number in range(101)]}, "--model"),
    ],
)
def test_what_cannot_be_expanded_is_told_by_its_option(
    options: dict[str, object], field: str
) -> None:
    given = {"regions": ["eu-west-1"], "models": [], "credential": "bedrock", "sdk": False}
    with pytest.raises(PresetError, match=field):
        bedrock(**(given | options))  # type: ignore[arg-type]


def test_no_source_at_all_is_told_with_the_mend() -> None:
    with pytest.raises(PresetError, match="--file-host"):
        packages([])


def test_more_sources_than_a_policy_holds_are_told() -> None:
    many = [PackageSource(f"h{number}.example.test", 443, "apt") for number in range(1001)]
    with pytest.raises(PresetError, match="more package sources"):
        packages(many)
