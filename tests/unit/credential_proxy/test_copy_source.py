import pytest

from hakoiri.credential_proxy.authority import Authority
from hakoiri.credential_proxy.copy_source import sources_of
from hakoiri.credential_proxy.framing import RequestHead

OWN = "team.s3.eu-west-1.amazonaws.com"
ALL = "s3.eu-west-1.amazonaws.com"


def source(value: str, host: str = OWN, name: str = "x-amz-copy-source") -> object:
    head = RequestHead("PUT", "/x", (1, 1), ((name, value),))
    [found] = sources_of(head, Authority(host, 443))
    return found and (found[0].host, found[1])


@pytest.mark.parametrize("name", ["x-amz-copy-source", "x-amz-rename-source"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_a_bucket_is_asked_for_where_its_objects_are(name: str, slash: str) -> None:
    value = f"{slash}other/a%20b/c?versionId=7"
    assert source(value, name=name) == ("other.s3.eu-west-1.amazonaws.com", "/a%20b/c")
    assert source(value, ALL, name) == (ALL, "/other/a%20b/c")
    assert source(value, "minio.example.test", name) == ("minio.example.test", "/other/a%20b/c")


@pytest.mark.parametrize(
    "value",
    [
        "",
        "/",
        "other",
        "other/",
        "//key",
        "other%2Fkey",
        "Other/key",
        "arn:aws:s3:eu-west-1:123456789012:accesspoint/point/object/key",
        "other/key?x",
        "evil.test#/key",
    ],
)
def test_what_is_no_plain_source_is_unclear(value: str) -> None:
    assert source(value) is None


def test_each_of_several_is_looked_at() -> None:
    headers = (("x-amz-copy-source", "a1b/c"), ("x-amz-copy-source", "d1e/f"))
    found = list(sources_of(RequestHead("PUT", "/", (1, 1), headers), Authority(OWN, 443)))
    assert len(found) == 2
