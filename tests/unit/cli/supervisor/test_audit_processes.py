from pathlib import Path

from tests.unit.cli.supervisor.test_processes import ground, load

from hakoiri.audit.launch import KeeperLaunch, ReaderLaunch
from hakoiri.cli.supervisor.audit_ground import AuditGround
from hakoiri.cli.supervisor.audit_processes import keeper_process, reader_process
from hakoiri.cli.supervisor.processes import server_process
from hakoiri.host.launch import ServerLaunch


def test_the_keeper_reads_all_chains_and_has_nothing_else(tmp_path: Path) -> None:
    made, audit = ground(tmp_path), AuditGround(tmp_path / "audit" / "i1")
    settings = load(tmp_path)
    keeper = keeper_process(settings, made, audit)
    # of the server's group, to pass through the run directory
    assert (keeper.uid, keeper.gid, keeper.groups) == (907, 908, (902,))
    assert (keeper.capabilities, keeper.has_network) == ((), False)
    assert {settings.data_dir, made.proxy_dir, made.guard_dir, made.audit_dir} <= {*keeper.hidden}
    launch = KeeperLaunch.model_validate_json(keeper.standard_input)
    assert launch.chains == audit.chains


def test_the_keeper_tells_the_server_alone_how_far_it_signed(tmp_path: Path) -> None:
    settings, made = load(tmp_path), ground(tmp_path)
    audit = AuditGround(tmp_path / "audit" / "i1")
    keeper = keeper_process(settings, made, audit)
    told = KeeperLaunch.model_validate_json(keeper.standard_input).status_file
    server = ServerLaunch.model_validate_json(server_process(settings, made, "i").standard_input)
    assert server.keeper_status == told
    assert told.parent.parent == made.run_dir, "which the server sees"
    assert told.parent in keeper.shown


def test_the_reader_reads_all_chains_and_sees_neither_key_nor_data(tmp_path: Path) -> None:
    settings, made = load(tmp_path), ground(tmp_path)
    audit = AuditGround(tmp_path / "audit" / "i1")
    reader = reader_process(settings, made, audit)
    launch = ReaderLaunch.model_validate_json(reader.standard_input)
    assert launch.chains == audit.chains
    # of the keeper's group, which reads; of the server's, to pass through the run directory
    assert (reader.uid, reader.gid, reader.groups) == (909, 908, (902,))
    assert (reader.capabilities, reader.has_network) == ((), False)
    assert {audit.keeper, settings.data_dir, made.proxy_dir} <= set(reader.hidden)
    server = ServerLaunch.model_validate_json(server_process(settings, made, "i").standard_input)
    assert server.audit_reader == launch.socket
    assert launch.socket.is_relative_to(made.run_dir), "which the server sees"
