"""The processes of the audit log: who signs it, and who shows it. None can write a chain."""

from hakoiri.audit.launch import KeeperLaunch, ReaderLaunch
from hakoiri.cli.supervisor.audit_ground import AuditGround
from hakoiri.cli.supervisor.preparation import Ground
from hakoiri.cli.supervisor.process import ProcessSpec
from hakoiri.cli.supervisor.processes import KEEPER_STATUS, READER_SOCKET, passed_on
from hakoiri.host.settings import Settings


def keeper_process(settings: Settings, ground: Ground, audit: AuditGround) -> ProcessSpec:
    """Return the audit log's keeper, which alone can read its key and write its heads."""
    status_file = ground.run_dir / KEEPER_STATUS
    launch = KeeperLaunch(
        directory=audit.keeper, heads=audit.heads, chains=audit.chains, status_file=status_file
    )
    return ProcessSpec(
        name="audit_keeper",
        arguments=("-m", "hakoiri.audit"),
        uid=ground.keeper.uid,
        gid=ground.keeper.gid,
        # the server's group, to pass through the run directory; of it, only its own is in sight
        groups=(ground.server.gid,),
        environment=passed_on(),
        hidden=(settings.data_dir, ground.proxy_dir, ground.guard_dir, ground.audit_dir),
        shown=(audit.root, status_file.parent),
        has_network=False,
        standard_input=launch.model_dump_json().encode(),
    )


def reader_process(settings: Settings, ground: Ground, audit: AuditGround) -> ProcessSpec:
    """Return the reader, which sees all chains and answers the server's questions about them."""
    launch = ReaderLaunch(socket=ground.audit_dir / READER_SOCKET, chains=audit.chains)
    return ProcessSpec(
        name="audit_reader",
        arguments=("-m", "hakoiri.audit.reader"),
        uid=ground.reader.uid,
        gid=ground.keeper.gid,  # by which the chains are read
        # the server's group, to pass through the run directory
        groups=(ground.server.gid,),
        environment=passed_on(),
        hidden=(settings.data_dir, ground.proxy_dir, ground.guard_dir, audit.keeper),
        shown=(audit.root, ground.audit_dir),
        has_network=False,
        standard_input=launch.model_dump_json().encode(),
    )
