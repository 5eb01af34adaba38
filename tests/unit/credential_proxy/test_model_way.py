import pytest

from hakoiri.credential_proxy.authority import Authority
from hakoiri.credential_proxy.configuration import parse_configuration
from hakoiri.credential_proxy.model_way import ModelWay, ModelWayError, find_model_way
from hakoiri.credential_proxy.signing_scope import SigningScope
from hakoiri.wire.policy import ModelRoute

CREDENTIALS = parse_configuration("""
[credentials.one]
kind = "aws"
services = ["bedrock"]
regions = ["us-east-1"]
models = ["a"]
[credentials.many]
kind = "aws"
services = ["bedrock"]
regions = ["us-east-1", "cn-north-1"]
[credentials.other-service]
kind = "aws"
services = ["sqs"]
regions = ["us-east-1"]
[credentials.hosts-only]
kind = "aws"
hosts = { "store.example.com" = { service = "s3", region = "us-east-1" } }
[credentials.header]
kind = "header"
header = "x-api-key"
value_env = "KEY"
hosts = ["api.example.com", "api.anthropic.com"]
[credentials.bearer]
kind = "bearer"
value_env = "KEY"
hosts = ["api.anthropic.com"]
endpoint = "https://gateway.example.com:8443"
[credentials.other-host]
kind = "bearer"
value_env = "KEY"
hosts = ["api.example.com"]
[credentials.other-port]
kind = "bearer"
value_env = "KEY"
hosts = ["api.anthropic.com"]
ports = [8443]
[credentials.basic]
kind = "basic"
username = "u"
value_env = "KEY"
hosts = ["api.anthropic.com"]
[credentials.secret]
kind = "secret"
value_env = "KEY"
hosts = ["api.anthropic.com"]
""").credentials


def find(provider: str, credential: str, region: str | None = None) -> ModelWay:
    document = {"provider": provider, "credential": credential, "region": region}
    return find_model_way(ModelRoute.model_validate(document), CREDENTIALS.get(credential))


def test_bedrock_is_reached_in_the_routes_region_and_signed_for_it() -> None:
    way = find("bedrock", "one")
    assert way.authority == Authority("bedrock-runtime.us-east-1.amazonaws.com", 443)
    assert (way.scope, list(way.models)) == (SigningScope("us-east-1", "bedrock"), ["a"])
    china = find("bedrock", "many", "cn-north-1")
    assert china.authority.host == "bedrock-runtime.cn-north-1.amazonaws.com.cn"


def test_anthropic_is_reached_at_its_own_host_or_at_the_endpoint() -> None:
    way = find("anthropic", "header")
    assert (way.scheme, way.authority) == ("https", Authority("api.anthropic.com", 443))
    assert (way.scope, list(way.models)) == (None, [])
    assert find("anthropic", "bearer").authority == Authority("gateway.example.com", 8443)


@pytest.mark.parametrize(
    ("provider", "credential", "region", "code"),
    [
        ("bedrock", "absent", None, "credential-unknown"),
        ("bedrock", "header", None, "credential-unknown"),
        ("bedrock", "other-service", None, "credential-unknown"),
        ("bedrock", "hosts-only", None, "credential-unknown"),
        ("bedrock", "many", None, "region-not-allowed"),
        ("bedrock", "one", "eu-west-1", "region-not-allowed"),
        ("anthropic", "one", None, "credential-unknown"),
        ("anthropic", "basic", None, "credential-unknown"),
        ("anthropic", "secret", None, "credential-unknown"),
        ("anthropic", "other-host", None, "credential-unknown"),
        ("anthropic", "other-port", None, "credential-unknown"),
    ],
)
def test_a_credential_that_is_not_for_the_route_is_refused(
    provider: str, credential: str, region: str | None, code: str
) -> None:
    with pytest.raises(ModelWayError) as refused:
        find(provider, credential, region)
    assert refused.value.code == code
    assert refused.value.field in {"model.credential", "model.region"}
