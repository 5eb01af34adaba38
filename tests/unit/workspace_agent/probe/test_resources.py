import pytest

from hakoiri.wire.probe import ProbeFinding
from hakoiri.workspace_agent.probe.resources import resource_attempts


@pytest.mark.parametrize("runtime", ["runc", "runsc"])
def test_every_resource_is_tried_once_under_a_name_that_the_report_takes(runtime: str) -> None:
    names = [attempt.name for attempt in resource_attempts(runtime)]
    assert len(names) == len(set(names))
    assert {"file descriptors without end", "disk of the host by /workspace"} <= set(names)
    assert {"memory bomb", "fork bomb"}.issubset(names) == (runtime == "runc")
    for name in names:
        ProbeFinding(name=name, result="refused", how="ENOSPC")
