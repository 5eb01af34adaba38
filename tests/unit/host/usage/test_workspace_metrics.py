from hakoiri.host.files.quota import DiskUse, TreeUse
from hakoiri.host.usage.figures import CgroupFigures, Usage
from hakoiri.host.usage.workspace_metrics import WorkspaceMetrics, WorkspaceUse

WORKSPACE = DiskUse(used_bytes=500, quota_bytes=1000, used_inodes=1, quota_inodes=10)
HOME = DiskUse(used_bytes=5, quota_bytes=100, used_inodes=1, quota_inodes=10)


def use(name: str, *, memory: int = 7, pids_limit: int | None = 64) -> WorkspaceUse:
    figures = CgroupFigures(1.5, memory, 4096, 3, pids_limit, 1)
    disk = TreeUse(workspace=WORKSPACE, home=HOME)
    return WorkspaceUse(name, is_busy=True, usage=Usage("c", figures, 0, disk=disk))


def test_one_workspace_is_told_with_its_limits() -> None:
    told = WorkspaceMetrics(lambda: [use("w1")]).render()
    for line in (
        'hakoiri_workspace_busy{workspace="w1"} 1.0',
        'hakoiri_workspace_cpu_seconds_total{workspace="w1"} 1.5',
        'hakoiri_workspace_memory_bytes{workspace="w1"} 7.0',
        'hakoiri_workspace_memory_limit_bytes{workspace="w1"} 4096.0',
        'hakoiri_workspace_pids{workspace="w1"} 3.0',
        'hakoiri_workspace_pids_limit{workspace="w1"} 64.0',
        'hakoiri_workspace_oom_kills_total{workspace="w1"} 1.0',
        'hakoiri_workspace_disk_bytes{disk="workspace",workspace="w1"} 500.0',
        'hakoiri_workspace_disk_quota_bytes{disk="home",workspace="w1"} 100.0',
        "hakoiri_workspaces_not_told 0.0",
    ):
        assert line in told


def test_a_limit_that_is_none_is_not_told() -> None:
    told = WorkspaceMetrics(lambda: [use("w1", pids_limit=None)]).render()
    assert 'hakoiri_workspace_pids{workspace="w1"} 3.0' in told
    assert "hakoiri_workspace_pids_limit{" not in told


def test_one_that_was_not_looked_at_yet_is_told_to_be_there() -> None:
    told = WorkspaceMetrics(lambda: [WorkspaceUse("w1", is_busy=False, usage=None)]).render()
    assert 'hakoiri_workspace_busy{workspace="w1"} 0.0' in told
    assert "hakoiri_workspace_memory_bytes{" not in told


def test_of_too_many_those_with_most_memory_are_told_and_how_many_are_not() -> None:
    uses = [use(f"w{number}", memory=number) for number in range(5)]
    told = WorkspaceMetrics(lambda: uses, limit=2).render()
    assert 'workspace="w4"' in told
    assert 'workspace="w3"' in told
    assert 'workspace="w2"' not in told
    assert "hakoiri_workspaces_not_told 3.0" in told
