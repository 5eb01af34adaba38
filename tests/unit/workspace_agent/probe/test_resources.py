from hakoiri.wire.probe import ProbeFinding
from hakoiri.workspace_agent.probe.resources import resource_attempts


def test_every_resource_is_tried_once_under_a_name_that_the_report_takes() -> None:
    names = [attempt.name for attempt in resource_attempts()]
    assert len(names) == len(set(names))
    assert {"fork bomb", "memory bomb", "disk of the host by /workspace"} <= set(names)
    for name in names:
        ProbeFinding(name=name, result="refused", how="ENOSPC")
