"""What containers do, and what they use."""

from typing import Final

from deployment.monitoring.dashboards.model import (
    RATE,
    Panel,
    Query,
    Row,
    Unit,
    grown,
    largest,
    of,
    per_second,
    quantile,
    quantiles,
    total,
)

_OF_ONE: Final[tuple[tuple[str, str, Unit], ...]] = (
    ("Processors of one", "hakoiri_container_cpu_cores", "none"),
    ("Memory of one", "hakoiri_container_memory_bytes", "bytes"),
    ("Processes of one", "hakoiri_container_pids", "none"),
    ("Disks of one", "hakoiri_container_disk_bytes", "bytes"),
)


def _of_one(title: str, metric: str, unit: Unit) -> Panel:
    return Panel(
        title,
        "Of containers, the middle one (0.5), the tenth from the top (0.9), the largest (1).",
        [Query(largest(metric, by="quantile"), "{{quantile}}")],
        unit=unit,
    )


CONTAINERS: Final = Row(
    "Containers",
    [
        Panel(
            "By state",
            "Those of workspaces are busy, idle or paused; warm ones wait for a claim.",
            [Query(total("hakoiri_containers", by="state"), "{{state}}")],
            stacked=True,
        ),
        Panel(
            "Places",
            "What has the places that this host bears; free ones may be taken.",
            [Query(total("hakoiri_container_slots", by="state"), "{{state}}")],
            stacked=True,
        ),
        Panel(
            "Live and frozen",
            "All containers in the server's hands, and of those the frozen ones.",
            [
                Query(total("hakoiri_containers_live"), "live, warm or starting"),
                Query(total("hakoiri_containers_paused"), "frozen"),
            ],
        ),
        Panel(
            "Claims",
            "How turns came by their containers: live already, warm, or started for them (cold).",
            [Query(per_second("hakoiri_claims_total", by="start"), "{{start}}")],
            unit="ops",
            stacked=True,
        ),
        Panel(
            "Time of a claim",
            "From the request for a container to one that is healthy, filled and bound (95 %).",
            [Query(quantile(0.95, "hakoiri_claim_seconds", by="start"), "{{start}}")],
            unit="s",
        ),
        Panel(
            "Time in the line",
            "How long turns waited for a place, however that ended.",
            quantiles("hakoiri_queue_wait_seconds"),
            unit="s",
        ),
        Panel(
            "Starts",
            "Of containers, by what for and how they ended.",
            [
                Query(
                    per_second("hakoiri_container_starts_total", by="kind, result"),
                    "{{kind}} {{result}}",
                )
            ],
            unit="ops",
            stacked=True,
        ),
        Panel(
            "Time of a start",
            "From nothing to healthy (95 %).",
            [Query(quantile(0.95, "hakoiri_container_start_seconds", by="kind"), "{{kind}}")],
            unit="s",
            warn=5,
            bad=10,
        ),
        Panel(
            "Warm pool",
            "Warm containers by runtime and state.",
            [
                Query(
                    total("hakoiri_warm_containers", by="runtime, state"),
                    "{{runtime}} {{state}}",
                )
            ],
            stacked=True,
        ),
        Panel(
            "Warm pool at a loss",
            "Claims that found it empty, and warm containers that could not be started.",
            [
                Query(
                    grown("hakoiri_warm_pool_exhausted_total", by="runtime", over=RATE),
                    "empty: {{runtime}}",
                ),
                Query(
                    grown("hakoiri_warm_pool_refill_failures_total", by="runtime", over=RATE),
                    "failed: {{runtime}}",
                ),
            ],
        ),
        Panel(
            "Claims refused",
            "Turns and commands that got no place, by why.",
            [Query(grown("hakoiri_claims_refused_total", by="reason", over=RATE), "{{reason}}")],
        ),
        Panel(
            "Shortage of memory",
            "0: none; 1: no warm containers are started; 2: they are removed; 3: claims wait.",
            [Query(largest("hakoiri_memory_shortage"), "level")],
            warn=1,
            bad=2,
            at_most=3,
        ),
        Panel(
            "Turns that went on in another container",
            "By what was lost.",
            [
                Query(
                    grown("hakoiri_container_recoveries_total", by="reason", over=RATE),
                    "{{reason}}",
                )
            ],
        ),
        Panel(
            "Removed by the collector",
            "By why; `stray` ones are nobody's, `dead` ones ended by themselves. And old images.",
            [
                Query(
                    grown("hakoiri_containers_collected_total", by="reason", over=RATE),
                    "{{reason}}",
                ),
                Query(grown("hakoiri_images_collected_total", over=RATE), "old images"),
            ],
        ),
        Panel(
            "The collector at a loss",
            "Rounds that it gave up, and idle containers kept since their files are not saved.",
            [
                Query(grown("hakoiri_collector_failures_total", over=RATE), "rounds given up"),
                Query(grown("hakoiri_containers_kept_unsaved_total", over=RATE), "kept unsaved"),
            ],
        ),
    ],
)

USE: Final = Row(
    "What containers use",
    [
        Panel(
            "Processors",
            "All containers together.",
            [Query(per_second("hakoiri_containers_cpu_seconds_total"), "processors")],
        ),
        Panel(
            "Memory",
            "All containers together, without the file cache that can be given back.",
            [Query(total("hakoiri_containers_memory_bytes"), "memory")],
            unit="bytes",
        ),
        Panel(
            "Processes",
            "All containers together.",
            [Query(total("hakoiri_containers_pids"), "processes")],
        ),
        *(_of_one(title, metric, unit) for title, metric, unit in _OF_ONE),
        Panel(
            "Near a limit",
            "Containers over 90 % of a limit, workspaces over 90 % of a disk.",
            [
                Query(total("hakoiri_containers_near_limit", by="resource"), "{{resource}}"),
                Query(total("hakoiri_workspaces_nearly_full"), "disk"),
            ],
        ),
        Panel(
            "Out of memory",
            "Processes that the kernel killed since their container was out of memory.",
            [Query(grown("hakoiri_containers_oom_kills_total", over=RATE), "killed")],
        ),
        Panel(
            "Workspaces that use most memory",
            "A click leads to that workspace's page.",
            [
                Query(f"topk(10, {of('hakoiri_workspace_memory_bytes')})", "{{workspace}}"),
            ],
            unit="bytes",
            kind="bargauge",
            size="half",
            link="/d/hakoiri-workspace?var-workspace=${__field.labels.workspace}",
        ),
        Panel(
            "Workspaces that use most processor time",
            "A click leads to that workspace's page.",
            [
                Query(
                    "topk(10, "
                    + per_second("hakoiri_workspace_cpu_seconds_total", by="workspace")
                    + ")",
                    "{{workspace}}",
                ),
            ],
            kind="bargauge",
            size="half",
            link="/d/hakoiri-workspace?var-workspace=${__field.labels.workspace}",
        ),
    ],
)
