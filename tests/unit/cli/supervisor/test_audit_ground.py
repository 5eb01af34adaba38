import stat
from pathlib import Path

import pytest

from hakoiri.cli.supervisor.audit_ground import (
    CHAINS,
    AuditGround,
    audit_ground,
    make_directories,
    make_operator_directory,
)
from hakoiri.host import settings as host_settings


def test_each_writer_sees_no_directory_but_its_own() -> None:
    ground = AuditGround(Path("/a/i1"))
    for name in CHAINS:
        others = ground.others(name)
        assert ground.chains[name] not in others
        all_of_them = {ground.keeper, ground.heads, ground.shipper, *ground.chains.values()}
        assert all_of_them == {ground.chains[name], *others}


def test_none_is_kept_where_none_is_wanted(tmp_path: Path) -> None:
    kept = host_settings.load(audit={"dir": tmp_path})
    assert audit_ground(kept, "i1") == AuditGround(tmp_path / "i1")
    assert audit_ground(host_settings.load(audit={"enabled": False}), "i1") is None


@pytest.mark.root
def test_directories_belong_to_their_writers_and_the_keeper_reads(tmp_path: Path) -> None:
    ground = AuditGround(tmp_path / "audit" / "i1")
    writers = {"server": 901, "proxy": 902, "guard": 903}
    for _ in range(2):
        make_directories(ground, writers=writers, keeper_uid=904, keeper_gid=905)
    for name, uid in {**writers, "operator": 0}.items():
        found = ground.chains[name].stat()
        assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (uid, 905, 0o2750)
    keeper = ground.keeper.stat()
    assert (keeper.st_uid, stat.S_IMODE(keeper.st_mode)) == (904, 0o700)
    heads = ground.heads.stat()
    assert (heads.st_uid, heads.st_gid, stat.S_IMODE(heads.st_mode)) == (904, 905, 0o2750)


@pytest.mark.root
def test_the_operators_directory_alone_leaves_the_others_as_they_are(tmp_path: Path) -> None:
    ground = AuditGround(tmp_path / "i1")
    make_directories(ground, writers={"server": 901}, keeper_uid=904, keeper_gid=905)
    make_operator_directory(ground, keeper_gid=905)
    assert ground.chains["server"].stat().st_uid == 901
