"""One workspace, while it has a container. What it said and asked for is in its log, not here."""

from typing import Final

from deployment.monitoring.dashboards.model import (
    RATE,
    Dashboard,
    Panel,
    Query,
    Row,
    Variable,
    or_none,
)

_WORKSPACE: Final = Variable(
    name="workspace", label="workspace", metric="hakoiri_workspace_busy", title="Workspace"
)


def _of(metric: str) -> str:
    return f'{metric}{{workspace="$workspace"}}'


_NOW = Row(
    "Now",
    [
        Panel(
            "Busy",
            "Whether a turn or a command runs in it; no data: it has no container.",
            [Query(f"max({_of('hakoiri_workspace_busy')})", "busy")],
            unit="bool_yes_no",
            kind="stat",
            size="small",
        ),
        Panel(
            "Memory",
            "Of what it may have.",
            [
                Query(
                    f"max({_of('hakoiri_workspace_memory_bytes')})"
                    f" / max({_of('hakoiri_workspace_memory_limit_bytes')})",
                    "of its limit",
                )
            ],
            unit="percentunit",
            kind="stat",
            size="small",
            warn=0.8,
            bad=0.9,
        ),
        Panel(
            "Fullest disk",
            "Of its quota; the conversation is told at 90 %.",
            [
                Query(
                    f"max({_of('hakoiri_workspace_disk_bytes')}"
                    f" / {_of('hakoiri_workspace_disk_quota_bytes')})",
                    "of its quota",
                )
            ],
            unit="percentunit",
            kind="stat",
            size="small",
            warn=0.8,
            bad=0.9,
        ),
        Panel(
            "Out of memory",
            "Processes that the kernel killed, in its newest container.",
            [Query(f"max({_of('hakoiri_workspace_oom_kills_total')})", "killed")],
            kind="stat",
            size="small",
            bad=1,
        ),
        Panel(
            "System calls killed",
            "For which the filter killed a process, since the server's start: "
            "hakoiri audit search --event seccomp_violation --workspace ID",
            [
                Query(
                    or_none(f"max({_of('hakoiri_seccomp_violations_total')})"),
                    "killed",
                )
            ],
            kind="stat",
            size="small",
            bad=1,
        ),
        Panel(
            "Workspaces that are not told",
            "Of more than 200 in use, only those are that use most memory.",
            [Query("sum(hakoiri_workspaces_not_told)", "not told")],
            kind="stat",
            size="small",
            warn=1,
        ),
    ],
)

_USE = Row(
    "What it used",
    [
        Panel(
            "Processors",
            "Read every 10 s.",
            [
                Query(
                    f"sum(rate({_of('hakoiri_workspace_cpu_seconds_total')}[{RATE}]))", "processors"
                )
            ],
            size="half",
        ),
        Panel(
            "Memory",
            "Without the file cache that can be given back.",
            [
                Query(f"max({_of('hakoiri_workspace_memory_bytes')})", "used"),
                Query(f"max({_of('hakoiri_workspace_memory_limit_bytes')})", "limit"),
            ],
            unit="bytes",
            size="half",
        ),
        Panel(
            "Processes",
            "And how many it may have.",
            [
                Query(f"max({_of('hakoiri_workspace_pids')})", "processes"),
                Query(f"max({_of('hakoiri_workspace_pids_limit')})", "limit"),
            ],
            size="half",
        ),
        Panel(
            "Disks",
            "In use, and their sizes.",
            [
                Query(f"max by (disk) ({_of('hakoiri_workspace_disk_bytes')})", "{{disk}}"),
                Query(
                    f"max by (disk) ({_of('hakoiri_workspace_disk_quota_bytes')})",
                    "{{disk}}: quota",
                ),
            ],
            unit="bytes",
            size="half",
        ),
    ],
)

WORKSPACE: Final = Dashboard(
    uid="hakoiri-workspace",
    title="Hakoiri: one workspace",
    description=(
        "What one workspace's container uses. What it did is in the audit log: "
        "hakoiri audit search --workspace ID"
    ),
    rows=[_NOW, _USE],
    variables=[_WORKSPACE],
)
