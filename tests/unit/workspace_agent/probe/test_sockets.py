from hakoiri.wire.probe import ProbeFinding
from hakoiri.workspace_agent.probe.sockets import socket_attempts


def test_every_way_is_tried_once_under_a_name_that_the_report_takes() -> None:
    names = [attempt.name for attempt in socket_attempts()]
    assert len(names) == len(set(names))
    assert {"socket packet", "socket vsock", "socket crypto: af_alg", "name lookup"} <= set(names)
    for name in names:
        ProbeFinding(name=name, result="refused", how="EPERM")
