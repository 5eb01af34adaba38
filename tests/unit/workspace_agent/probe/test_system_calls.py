from hakoiri.workspace_agent.probe.system_calls import NUMBERS, call, system_call_attempts


def test_a_call_is_made_by_its_number() -> None:
    # asks for nothing: an empty list of pages of this process
    assert call("move_pages", 0, 0, 0, 0, 0, 0) == 0


def test_every_call_and_every_namespace_is_tried_once() -> None:
    names = [attempt.name for attempt in system_call_attempts()]
    assert len(names) == len(set(names))
    for name in set(NUMBERS) - {"clone", "clone3", "unshare"}:
        assert f"system call {name}" in names
    for kind in ("cgroup", "ipc", "mount", "network", "pid", "user", "uts"):
        assert f"namespace by unshare: {kind}" in names
        assert f"namespace by clone: {kind}" in names
