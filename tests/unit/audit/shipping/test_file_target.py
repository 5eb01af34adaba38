from pathlib import Path

import pytest
from tests.unit.audit.chains import lines, write

from hakoiri.audit.shipping.file_target import FileCopy
from hakoiri.audit.shipping.source import next_batch
from hakoiri.audit.shipping.targets import TargetError
from hakoiri.audit.verification import verify_chain

MADE = lines(6)


def test_a_copy_is_the_chain_and_sending_again_changes_nothing(tmp_path: Path) -> None:
    chain, share = tmp_path / "server", tmp_path / "share"
    chain.mkdir()
    share.mkdir()
    write(chain, MADE[:3])
    copy = FileCopy(share, instance="i1")
    first = next_batch(chain, None)
    assert first is not None
    copy.send("server", first)
    copy.send("server", first)
    write(chain, MADE[:4])
    write(chain, MADE[4:], first=5)
    place = first.after
    while batch := next_batch(chain, place):
        copy.send("server", batch)
        copy.send("server", batch)
        place = batch.after
    report = verify_chain(share / "i1" / "server", chain="server", heads={})
    assert (report.lines, report.broken) == (6, None)


def test_a_share_that_is_not_mounted_is_not_made(tmp_path: Path) -> None:
    write(tmp_path, MADE)
    batch = next_batch(tmp_path, None)
    assert batch is not None
    with pytest.raises(TargetError, match="is not there"):
        FileCopy(tmp_path / "gone", instance="i1").send("server", batch)
    assert not (tmp_path / "gone").exists()


def test_a_copy_that_lost_its_beginning_is_not_gone_on_with(tmp_path: Path) -> None:
    chain, share = tmp_path / "server", tmp_path / "share"
    chain.mkdir()
    share.mkdir()
    write(chain, MADE[:2])
    first = next_batch(chain, None)
    assert first is not None
    write(chain, MADE[:4])
    second = next_batch(chain, first.after)
    assert second is not None
    with pytest.raises(TargetError, match="shorter than was copied"):
        FileCopy(share, instance="i1").send("server", second)
