from typing import Any

import pytest
from pydantic import TypeAdapter

from hakoiri.credential_proxy.credential_definitions import (
    AwsCredential,
    Credential,
    HeaderCredential,
)
from hakoiri.credential_proxy.signing_scope import SigningScope

_CREDENTIAL: TypeAdapter[Any] = TypeAdapter(Credential)


def aws(**more: object) -> AwsCredential:
    fields = {"kind": "aws", "services": ["bedrock"], "regions": ["us-east-1"], **more}
    return AwsCredential.model_validate(fields)


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("header", {"header": "x-api-key"}),
        ("bearer", {}),
        ("basic", {"username": "git"}),
        ("query", {"parameter": "key"}),
        ("secret", {}),
    ],
)
def test_each_kind_takes_its_secret_from_each_source(kind: str, more: dict[str, Any]) -> None:
    for source in ({"value_env": "A"}, {"value_file": "/a"}, {"value_command": ["/a", "b"]}):
        fields = {"kind": kind, "hosts": ["a.example.com", "b.example.com"], **more, **source}
        credential = _CREDENTIAL.validate_python(fields)
        assert credential.kind == kind
        assert credential.hosts_reached == {"a.example.com", "b.example.com"}
        assert credential.suffixes_reached == frozenset()
        assert credential.ports == [443]


def test_a_host_is_signed_for_its_own_region_and_service_and_no_other_is() -> None:
    credential = aws(services=["bedrock", "sqs"], regions=["us-east-1", "eu-west-1"])
    runtime = credential.scope_for("bedrock-runtime.eu-west-1.amazonaws.com")
    assert runtime == SigningScope("eu-west-1", "bedrock")
    assert credential.scope_for("sqs.us-east-1.amazonaws.com") == SigningScope("us-east-1", "sqs")
    for host in (
        "sqs.us-east-2.amazonaws.com",
        "sns.us-east-1.amazonaws.com",
        "sqs.us-east-1.amazonaws.com.evil.test",
        "x.sqs.us-east-1.amazonaws.com",
        "amazonaws.com",
        "",
    ):
        assert credential.scope_for(host) is None


def test_with_every_bucket_a_host_of_one_label_is_signed() -> None:
    credential = aws(services=["s3"], buckets=["*"])
    scope = SigningScope("us-east-1", "s3")
    for host in ("s3.us-east-1.amazonaws.com", "any.s3.us-east-1.amazonaws.com"):
        assert credential.scope_for(host) == scope
    for host in (
        "a.b.s3.us-east-1.amazonaws.com",
        ".s3.us-east-1.amazonaws.com",
        "a_b.s3.us-east-1.amazonaws.com",
        "any.s3.eu-west-1.amazonaws.com",
        "any.s3.us-east-1.amazonaws.com.evil.test",
    ):
        assert credential.scope_for(host) is None
    assert credential.suffixes_reached == {".s3.us-east-1.amazonaws.com"}
    assert credential.is_for("any.s3.us-east-1.amazonaws.com")
    assert credential.is_for("*.s3.us-east-1.amazonaws.com")
    for wider in ("*.us-east-1.amazonaws.com", "*.s3.eu-west-1.amazonaws.com", "*."):
        assert not credential.is_for(wider)


def test_with_a_named_bucket_no_host_reaches_another() -> None:
    credential = aws(services=["s3"], buckets=["mine"])
    assert credential.hosts_reached == {"mine.s3.us-east-1.amazonaws.com"}
    assert credential.suffixes_reached == frozenset()
    assert not credential.is_for("*.s3.us-east-1.amazonaws.com")
    for host in ("s3.us-east-1.amazonaws.com", "other.s3.us-east-1.amazonaws.com"):
        assert credential.scope_for(host) is None


def test_a_host_that_is_like_aws_is_named_with_its_scope() -> None:
    hosts = {"minio.example.test": {"service": "s3", "region": "local"}}
    credential = aws(services=[], regions=[], hosts=hosts, ports=[9000])
    assert credential.scope_for("minio.example.test") == SigningScope("local", "s3")
    assert credential.hosts_reached == {"minio.example.test"}
    assert credential.ports == [9000]


def test_a_template_is_text_with_one_slot_and_no_format() -> None:
    fields = {"kind": "header", "header": "Authorization", "value_env": "A", "hosts": ["a.test"]}
    credential = HeaderCredential.model_validate({**fields, "template": "{0} {secret} {x}"})
    assert credential.render("planted {secret}") == "{0} planted {secret} {x}"
    assert credential.header == "authorization"
    assert HeaderCredential.model_validate(fields).render("planted") == "planted"


def test_keys_for_some_models_are_limited_at_the_hosts_of_models() -> None:
    limited = aws(services=["bedrock", "sqs"], models=["a"])
    assert limited.is_limited_at("bedrock-runtime.us-east-1.amazonaws.com")
    assert not limited.is_limited_at("sqs.us-east-1.amazonaws.com")
    assert not aws(services=["bedrock"]).is_limited_at("bedrock-runtime.us-east-1.amazonaws.com")
