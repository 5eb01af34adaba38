"""The files that are saved, the store that keeps them, and the host under all of it."""

from typing import Final

from deployment.monitoring.dashboards.model import (
    RATE,
    Panel,
    Query,
    Row,
    grown,
    largest,
    of,
    or_none,
    per_second,
    quantile,
    smallest,
    total,
)

FILES: Final = Row(
    "Files",
    [
        Panel(
            "Saves and restores",
            "By how they ended.",
            [
                Query(
                    per_second("hakoiri_file_syncs_total", by="direction, result"),
                    "{{direction}} {{result}}",
                )
            ],
            unit="ops",
            stacked=True,
        ),
        Panel(
            "Time of a save or restore",
            "Of those that succeeded (95 %).",
            [Query(quantile(0.95, "hakoiri_file_sync_seconds", by="direction"), "{{direction}}")],
            unit="s",
        ),
        Panel(
            "Bytes moved",
            "Sent to the object store, or brought back.",
            [Query(per_second("hakoiri_file_sync_bytes_total", by="direction"), "{{direction}}")],
            unit="Bps",
        ),
        Panel(
            "Files moved",
            "Sent to the object store, or brought back.",
            [Query(per_second("hakoiri_file_sync_files_total", by="direction"), "{{direction}}")],
            unit="ops",
        ),
        Panel(
            "Not saved yet",
            "Workspaces in use, or with files that could not be saved.",
            [Query(total("hakoiri_workspaces_unsaved"), "workspaces")],
        ),
        Panel(
            "Disks in use",
            "Of all live containers.",
            [Query(total("hakoiri_workspace_disk_used_bytes"), "in use")],
            unit="bytes",
        ),
        Panel(
            "What the object store holds",
            "When it was last looked through; wasted bytes are part of the live.",
            [Query(largest("hakoiri_store_bytes", by="what"), "{{what}}")],
            unit="bytes",
        ),
        Panel(
            "Removed from the object store",
            "What went into the archive, and what was deleted from it.",
            [Query(grown("hakoiri_store_collected_bytes_total", by="how", over=RATE), "{{how}}")],
            unit="bytes",
        ),
        Panel(
            "Missing objects",
            "That a live recovery point names: any is worth a look at once.",
            [Query(largest("hakoiri_store_missing_objects"), "missing")],
            kind="stat",
            size="small",
            bad=1,
        ),
        Panel(
            "Store looked through",
            "Since when the collection last did all it was to do.",
            [
                Query(
                    "time() - min("
                    + of("hakoiri_store_collection_last_success_timestamp_seconds")
                    + " > 0)",
                    "since",
                )
            ],
            unit="s",
            kind="stat",
            size="small",
            warn=43_200,
            bad=86_400,
        ),
        Panel(
            "Between passes over the store",
            "As it is set; 0 if it is off.",
            [Query(largest("hakoiri_store_collection_interval_seconds"), "interval")],
            unit="s",
            kind="stat",
            size="small",
        ),
        Panel(
            "Recovery points let go",
            "As too old or too many, in the time that is shown.",
            [Query(grown("hakoiri_store_expired_points_total"), "points")],
            kind="stat",
            size="small",
        ),
        Panel(
            "Store collections that failed",
            "In the time that is shown.",
            [Query(grown("hakoiri_store_collection_failures_total"), "failed")],
            kind="stat",
            size="small",
            bad=1,
        ),
        Panel(
            "Last backup",
            "Since when `hakoiri backup create` last finished; decades if it never did.",
            [
                Query(
                    "time() - min(" + of("hakoiri_backup_last_success_timestamp_seconds") + ")",
                    "since",
                )
            ],
            unit="s",
            kind="stat",
            size="small",
            warn=93_600,
            bad=180_000,
        ),
        Panel(
            "Redis answers",
            "Only where there is one.",
            [Query(smallest("hakoiri_coordination_up"), "up")],
            unit="bool_yes_no",
            kind="stat",
            size="small",
            warn=1,
            bad=0.5,
        ),
        Panel(
            "Redis failures",
            "Calls that failed or were not answered in time; 0 where there is no Redis.",
            [Query(or_none(grown("hakoiri_coordination_errors_total")), "failed")],
            kind="stat",
            size="small",
            bad=1,
        ),
    ],
)

HOST: Final = Row(
    "Host",
    [
        Panel(
            "Pressure",
            "The part of the time in which some or all tasks waited for a resource.",
            [
                Query(
                    per_second(
                        "hakoiri_host_pressure_seconds_total", by="instance, resource, share"
                    ),
                    "{{resource}} {{share}} {{instance}}",
                )
            ],
            unit="percentunit",
            at_most=1,
        ),
        Panel(
            "Memory and disk left",
            "Of the host's memory, and of the data directory's disk.",
            [
                Query(smallest("hakoiri_host_memory_available_ratio"), "memory"),
                Query(smallest("hakoiri_host_disk_free_ratio"), "disk"),
            ],
            unit="percentunit",
            at_most=1,
        ),
        Panel(
            "Time for a part to answer",
            "Asked every 15 s.",
            [Query(largest("hakoiri_part_check_seconds", by="part"), "{{part}}")],
            unit="s",
        ),
        Panel(
            "Processors of our own processes",
            "Server and proxy.",
            [
                Query(per_second("process_cpu_seconds_total", 'job="hakoiri"'), "server"),
                Query(per_second("hakoiri_proxy_process_cpu_seconds_total"), "proxy"),
            ],
        ),
        Panel(
            "Memory of our own processes",
            "Server and proxy.",
            [
                Query(total("process_resident_memory_bytes", 'job="hakoiri"'), "server"),
                Query(total("hakoiri_proxy_process_resident_memory_bytes"), "proxy"),
            ],
            unit="bytes",
        ),
        Panel(
            "Open files of our own processes",
            "Server and proxy.",
            [
                Query(total("process_open_fds", 'job="hakoiri"'), "server"),
                Query(total("hakoiri_proxy_process_open_fds"), "proxy"),
            ],
        ),
    ],
)

TRACES: Final = Row(
    "Traces",
    [
        Panel(
            "The collector takes spans",
            "Whether the newest of server and proxy were not taken; only where traces are sent.",
            [
                Query(largest("hakoiri_trace_export_failing"), "server fails"),
                Query(largest("hakoiri_proxy_trace_export_failing"), "proxy fails"),
            ],
            at_most=1,
        ),
        Panel(
            "Spans",
            "By what became of them; `dropped` and `failed` ones are lost.",
            [
                Query(per_second("hakoiri_trace_spans_total", by="result"), "server {{result}}"),
                Query(
                    per_second("hakoiri_proxy_trace_spans_total", by="result"), "proxy {{result}}"
                ),
            ],
            unit="ops",
        ),
        Panel(
            "Spans that wait",
            "To be sent; what is beyond the queue's bound is dropped.",
            [
                Query(largest("hakoiri_trace_spans_waiting"), "server"),
                Query(largest("hakoiri_proxy_trace_spans_waiting"), "proxy"),
            ],
        ),
    ],
)
