"""What a signed S3 request would have S3 copy from elsewhere, held to the same rules. No I/O.

S3 reads the source of a copy with the rights of the keys that the request is signed with, whatever
host the request went to (Amazon S3 API Reference, `CopyObject`, `UploadPartCopy`, `RenameObject`).
So a copy is let through where a GET of its source would be.
"""

from collections.abc import Iterator
from typing import Final

from hakoiri.credential_proxy.authority import Authority
from hakoiri.credential_proxy.aws_hosts import S3, is_bucket_name
from hakoiri.credential_proxy.framing import RequestHead

SOURCES: Final = ("x-amz-copy-source", "x-amz-rename-source")
_VERSION: Final = "?versionId="


def sources_of(head: RequestHead, authority: Authority) -> Iterator[tuple[Authority, str] | None]:
    """Yield host and path of each source in a request to `authority`; None for one that is unclear.

    At AWS a bucket has a host of its own; elsewhere, and at the host of all buckets, it is the
    first part of the path.
    """
    for name in SOURCES:
        for value in head.values(name):
            yield _source(value.partition(_VERSION)[0], authority)


def _source(value: str, authority: Authority) -> tuple[Authority, str] | None:
    bucket, slash, key = value.removeprefix("/").partition("/")
    if not (bucket and slash and key) or "?" in key:
        return None
    rest = authority.host.partition(".")[2]
    if not rest.startswith(f"{S3}."):
        return authority, f"/{bucket}/{key}"
    if not is_bucket_name(bucket):
        return None
    return Authority(f"{bucket}.{rest}", authority.port), f"/{key}"
