import stat
from pathlib import Path

import pytest

from hakoiri.audit.shipping.status import ChainStatus, ShipStatus, TargetStatus
from hakoiri.audit.told_file import read_told, write_told

TOLD = ShipStatus(
    told_at=100.5,
    targets=[
        TargetStatus(
            name="siem",
            kind="syslog",
            chains={"server": ChainStatus(sequence=5, waiting_bytes=70)},
            failures=2,
            error="away",
        )
    ],
)


def test_what_was_told_is_read_and_the_newest_counts(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    write_told(path, ShipStatus(told_at=1, targets=[]))
    write_told(path, TOLD)
    assert read_told(path, ShipStatus) == TOLD
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b'{"told_at": 1, "targets": 5}',
        b'{"told_at": 1, "targets": [{"name": "../x", "kind": "s3"}]}',
        b'{"told_at": 1, "targets": [' + b",".join([b'{"name": "x", "kind": "s3"}'] * 9) + b"]}",
        b" " * (70 * 1024),
    ],
)
def test_anything_else_is_as_if_nothing_was_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "status.json"
    path.write_bytes(content)
    assert read_told(path, ShipStatus) is None


def test_no_link_is_followed(tmp_path: Path) -> None:
    write_told(tmp_path / "real.json", TOLD)
    (tmp_path / "status.json").symlink_to(tmp_path / "real.json")
    assert read_told(tmp_path / "status.json", ShipStatus) is None
    assert read_told(tmp_path / "gone.json", ShipStatus) is None
