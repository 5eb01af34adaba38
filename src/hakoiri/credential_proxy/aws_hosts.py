"""Which AWS hosts a service answers at, and what requests to them are signed for. No I/O.

Source: AWS General Reference, "AWS service endpoints"; Amazon S3 User Guide, "Virtual hosting of
buckets". A host that is not built here is not AWS to us, however it is spelt.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from hakoiri.credential_proxy.signing_scope import SigningScope

S3: Final = "s3"
ANY_BUCKET: Final = "*"

_HOST_PREFIXES: Final[Mapping[str, tuple[str, ...]]] = {
    "bedrock": ("bedrock-runtime", "bedrock"),
    "ecr": ("api.ecr",),
    "sagemaker": ("runtime.sagemaker", "api.sagemaker"),
    "ses": ("email",),
}
"""Signing name to host prefixes, where they differ; any other service answers at its own name."""

_GLOBAL_HOSTS: Final[Mapping[str, str]] = {"iam": "iam.amazonaws.com", "sts": "sts.amazonaws.com"}
GLOBAL_REGION: Final = "us-east-1"
"""What requests to the global hosts are signed for."""

ONLY_GLOBAL: Final = frozenset({"iam"})
_DOMAINS: Final = {"cn": "amazonaws.com.cn"}
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")


def is_bucket_name(text: str) -> bool:
    """Whether `text` is a bucket that has a host of its own under AWS's certificate.

    A name with dots has none: the certificate's wildcard covers one label.
    """
    return _BUCKET.fullmatch(text) is not None


def regional_host(prefix: str, region: str) -> str:
    """Return the host of `prefix` in `region`; China's regions have a domain of their own."""
    return f"{prefix}.{region}.{_DOMAINS.get(region.partition('-')[0], 'amazonaws.com')}"


def signed_hosts(
    services: Iterable[str], regions: Iterable[str], buckets: Iterable[str]
) -> dict[str, SigningScope]:
    """Return each exact host with what its requests are signed for.

    The path-style host of S3 reaches every bucket, so it is here only when every bucket is named.
    """
    regions, buckets = tuple(regions), tuple(buckets)
    hosts: dict[str, SigningScope] = {}
    for service in services:
        if service in _GLOBAL_HOSTS and GLOBAL_REGION in regions:
            hosts[_GLOBAL_HOSTS[service]] = SigningScope(GLOBAL_REGION, service)
        for region in regions:
            scope = SigningScope(region, service)
            for prefix in _prefixes(service, buckets):
                hosts[regional_host(prefix, region)] = scope
    return hosts


def _prefixes(service: str, buckets: tuple[str, ...]) -> Iterator[str]:
    if service in ONLY_GLOBAL:
        return
    if service != S3:
        yield from _HOST_PREFIXES.get(service, (service,))
    elif ANY_BUCKET in buckets:
        yield S3
    else:
        yield from (f"{bucket}.{S3}" for bucket in buckets)


def signed_suffixes(
    services: Iterable[str], regions: Iterable[str], buckets: Iterable[str]
) -> dict[str, SigningScope]:
    """Return each suffix, with its dot, under which every bucket's host is signed."""
    if S3 not in services or ANY_BUCKET not in buckets:
        return {}
    return {f".{regional_host(S3, region)}": SigningScope(region, S3) for region in regions}
