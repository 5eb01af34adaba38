"""The fleet: is it up, do turns succeed, and what its containers, its files and the host do."""

from typing import Final

from deployment.monitoring.dashboards.containers import CONTAINERS, USE
from deployment.monitoring.dashboards.host import FILES, HOST, TRACES
from deployment.monitoring.dashboards.model import (
    INSTANCES,
    Dashboard,
    Panel,
    Query,
    Row,
    largest,
    or_none,
    per_second,
    quantiles,
    smallest,
    total,
)

FIRING: Final = 'ALERTS{alertname=~"Hakoiri.+", alertstate="firing"}'

_STATE = Row(
    "State",
    [
        Panel(
            "Server",
            "Whether every server that was chosen answers Prometheus.",
            [Query('min(up{job="hakoiri", instance=~"$instance"})', "up")],
            unit="bool_yes_no",
            kind="stat",
            size="small",
            warn=1,
            bad=0.5,
        ),
        Panel(
            "Proxy",
            "Whether the credential proxy answers; without it no turn reaches its model.",
            [Query(smallest("hakoiri_server_proxy_up"), "up")],
            unit="bool_yes_no",
            kind="stat",
            size="small",
            warn=1,
            bad=0.5,
        ),
        Panel(
            "Parts",
            "Whether all that a turn needs answered when asked last; /ready has the reasons.",
            [Query(smallest("hakoiri_part_up"), "all up")],
            unit="bool_yes_no",
            kind="stat",
            size="small",
            warn=1,
            bad=0.5,
        ),
        Panel(
            "Alerts that fire",
            "docs/operations/monitoring-guide.md has a section for each.",
            [Query(or_none(f"count({FIRING})"), "alerts")],
            kind="stat",
            size="small",
            bad=1,
        ),
        Panel(
            "Turns that wait",
            "Turns and commands for which there is no container yet.",
            [Query(total("hakoiri_queue_length"), "waiting")],
            kind="stat",
            size="small",
            warn=1,
            bad=20,
        ),
        Panel(
            "Unsaved since",
            "Of workspaces in use, since when the oldest one's files have not been saved.",
            [Query(largest("hakoiri_recovery_point_age_seconds"), "oldest")],
            unit="s",
            kind="stat",
            size="small",
            warn=600,
            bad=1800,
        ),
    ],
)

_TURNS = Row(
    "Turns",
    [
        Panel(
            "Turns that ended",
            "By whose doing an error was: what users chose (interrupted, over budget) is no fault.",
            [Query(per_second("hakoiri_turn_ends_total", by="fault"), "{{fault}}")],
            unit="ops",
            stacked=True,
        ),
        Panel(
            "Time of a turn",
            "From a message to the last event, of turns that ended well.",
            quantiles("hakoiri_turn_seconds", 'result="result"'),
            unit="s",
        ),
        Panel(
            "Time to the first event",
            "What a user waits for: from a message to the first thing that the agent says or does.",
            quantiles("hakoiri_turn_first_event_seconds"),
            unit="s",
        ),
        Panel(
            "Goals: errors of the last hour against what is allowed",
            "1 uses up a month's errors in a month; 14.4 wakes somebody.",
            [
                Query(
                    "hakoiri:slo_errors:ratio_rate1h / on (slo) hakoiri:slo_error_budget", "{{slo}}"
                )
            ],
            warn=1,
            bad=14.4,
        ),
        Panel(
            "Turns by their last event",
            "The audit log has the codes: hakoiri audit search --event turn_ended --failed",
            [Query(per_second("hakoiri_turns_total", by="result"), "{{result}}")],
            unit="ops",
            stacked=True,
        ),
        Panel(
            "Streams that are open",
            "Readers of conversations' events.",
            [Query(total("hakoiri_event_subscribers"), "readers")],
        ),
    ],
)

FLEET: Final = Dashboard(
    uid="hakoiri-fleet",
    title="Hakoiri: fleet",
    description="Servers, turns, containers, files and the host.",
    rows=[_STATE, _TURNS, CONTAINERS, USE, FILES, HOST, TRACES],
    variables=[INSTANCES],
)
