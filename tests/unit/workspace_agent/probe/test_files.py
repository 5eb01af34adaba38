from hakoiri.wire.probe import ProbeFinding
from hakoiri.workspace_agent.probe.files import file_attempts


def test_every_file_is_tried_once_under_a_name_that_the_report_takes() -> None:
    names = [attempt.name for attempt in file_attempts()]
    assert len(names) == len(set(names))
    assert {
        "write /proc/sysrq-trigger",
        "read /proc/kcore",
        "new file in /etc",
        "socket /var/run/docker.sock",
        "proxy socket: remove",
    } <= set(names)
    for name in names:
        ProbeFinding(name=name, result="refused", how="EPERM")
