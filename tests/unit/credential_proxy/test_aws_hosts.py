import pytest

from hakoiri.credential_proxy.aws_hosts import (
    is_bucket_name,
    regional_host,
    signed_hosts,
    signed_suffixes,
)
from hakoiri.credential_proxy.signing_scope import SigningScope


def test_services_answer_at_the_hosts_of_their_regions() -> None:
    hosts = signed_hosts(["bedrock", "dynamodb"], ["us-east-1", "eu-west-1"], [])
    assert hosts == {
        f"{prefix}.{region}.amazonaws.com": SigningScope(region, service)
        for region in ("us-east-1", "eu-west-1")
        for prefix, service in (
            ("bedrock-runtime", "bedrock"),
            ("bedrock", "bedrock"),
            ("dynamodb", "dynamodb"),
        )
    }


def test_global_hosts_are_signed_for_us_east_1_and_only_where_that_is_allowed() -> None:
    everywhere = signed_hosts(["iam", "sts"], ["us-east-1"], [])
    assert everywhere == {
        "iam.amazonaws.com": SigningScope("us-east-1", "iam"),
        "sts.amazonaws.com": SigningScope("us-east-1", "sts"),
        "sts.us-east-1.amazonaws.com": SigningScope("us-east-1", "sts"),
    }
    assert list(signed_hosts(["iam", "sts"], ["eu-west-1"], [])) == ["sts.eu-west-1.amazonaws.com"]


def test_a_named_bucket_has_its_own_host_and_not_the_one_that_reaches_all() -> None:
    assert list(signed_hosts(["s3"], ["us-east-1"], ["mine"])) == [
        "mine.s3.us-east-1.amazonaws.com"
    ]
    assert signed_suffixes(["s3"], ["us-east-1"], ["mine"]) == {}


def test_every_bucket_is_a_suffix_beside_the_host_that_reaches_all() -> None:
    scope = SigningScope("us-east-1", "s3")
    assert signed_hosts(["s3"], ["us-east-1"], ["*"]) == {"s3.us-east-1.amazonaws.com": scope}
    suffixes = signed_suffixes(["s3"], ["us-east-1"], ["*"])
    assert suffixes == {".s3.us-east-1.amazonaws.com": scope}
    assert signed_suffixes(["bedrock"], ["us-east-1"], ["*"]) == {}


def test_chinas_regions_have_a_domain_of_their_own() -> None:
    assert regional_host("sqs", "cn-north-1") == "sqs.cn-north-1.amazonaws.com.cn"
    assert regional_host("sqs", "us-gov-west-1") == "sqs.us-gov-west-1.amazonaws.com"


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("abc", True),
        ("a-1", True),
        ("ab", False),
        ("a.b.c", False),
        ("-ab", False),
        ("ab-", False),
        ("ABC", False),
        ("a" * 64, False),
        ("", False),
        ("abc\n", False),
    ],
)
def test_a_bucket_name_is_one_label(name: str, *, is_one: bool) -> None:
    assert is_bucket_name(name) is is_one
