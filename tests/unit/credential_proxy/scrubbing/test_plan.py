import pytest

from hakoiri.credential_proxy.errors import UpstreamError
from hakoiri.credential_proxy.scrubbing.plan import ScrubbingPlan, plan_scrubbing
from hakoiri.credential_proxy.scrubbing.scrubber import SecretPatterns

PATTERNS = SecretPatterns.of(["planted-secret"])


def test_a_plain_answer_keeps_its_length_and_loses_the_secret() -> None:
    headers = (("Content-Length", "5"), ("X-Echo", "planted-secret"))
    assert plan_scrubbing(headers, PATTERNS) == ScrubbingPlan(
        (("Content-Length", "5"), ("X-Echo", "*" * 14)), 1
    )


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "Deflate", "identity, gzip"])
def test_a_compressed_answer_is_passed_on_decoded(coding: str) -> None:
    headers = (
        ("Content-Encoding", coding),
        ("Content-Length", "5"),
        ("ETag", '"a"'),
        ("Digest", "x"),
        ("X-A", "b"),
    )
    plan = plan_scrubbing(headers, PATTERNS)
    assert plan.headers == (("X-A", "b"),)
    assert plan.coding == coding.rpartition(" ")[2].lower()


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "compress", "aws-chunked"])
def test_what_cannot_be_read_is_refused(coding: str) -> None:
    with pytest.raises(UpstreamError) as refused:
        plan_scrubbing((("content-encoding", coding),), PATTERNS)
    assert refused.value.code == "unreadable-coding"
