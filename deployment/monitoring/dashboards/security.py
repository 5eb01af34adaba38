"""Security: who tried what, whether the audit log leaves the host, what is out of order."""

from typing import Final

from deployment.monitoring.dashboards.fleet import FIRING
from deployment.monitoring.dashboards.model import (
    INSTANCES,
    RATE,
    Dashboard,
    Panel,
    Query,
    Row,
    grown,
    grown_from_nothing,
    largest,
    or_none,
    per_second,
    smallest,
    total,
)

_TRIED = Row(
    "Who tried",
    [
        Panel(
            "System calls killed",
            "By workspace: no honest program makes such a call. A click leads to that workspace.",
            [
                Query(
                    grown_from_nothing(
                        "hakoiri_seccomp_violations_total", by="workspace", over=RATE
                    ),
                    "{{workspace}}",
                )
            ],
            size="half",
            link="/d/hakoiri-workspace?var-workspace=${__field.labels.workspace}",
        ),
        Panel(
            "Requests refused",
            "By code. `placeholder-not-allowed`, `address-refused`, `misdirected-request` and the "
            "`tunnel-…` ones are attempts to go round the policy.",
            [
                Query(
                    grown_from_nothing("hakoiri_proxy_refusals_total", by="code", over=RATE),
                    "{{code}}",
                )
            ],
            size="half",
        ),
        Panel(
            "System calls killed",
            "In the time that is shown.",
            [Query(or_none(grown_from_nothing("hakoiri_seccomp_violations_total")), "killed")],
            kind="stat",
            size="small",
            bad=1,
        ),
        Panel(
            "Ways round the policy",
            "Refusals that no honest client meets, in the time that is shown.",
            [
                Query(
                    or_none(
                        grown_from_nothing(
                            "hakoiri_proxy_refusals_total",
                            'code=~"placeholder-not-allowed|address-refused|ip-literal'
                            '|misdirected-request|tunnel-.+|streaming-signature|unbound"',
                        )
                    ),
                    "refused",
                )
            ],
            kind="stat",
            size="small",
            warn=1,
        ),
        Panel(
            "Secrets sent back",
            "Taken out of upstreams' answers, in the time that is shown.",
            [Query(grown("hakoiri_proxy_scrubbed_secrets_total"), "taken out")],
            kind="stat",
            size="small",
            bad=1,
        ),
        Panel(
            "Out of memory",
            "Processes killed in containers, in the time that is shown.",
            [Query(grown("hakoiri_containers_oom_kills_total"), "killed")],
            kind="stat",
            size="small",
            warn=1,
        ),
        Panel(
            "Containers lost or nobody's",
            "That ended by themselves, or that nobody owns, in the time that is shown.",
            [
                Query(
                    grown("hakoiri_containers_collected_total", 'reason=~"dead|stray|other"'),
                    "removed",
                )
            ],
            kind="stat",
            size="small",
            warn=1,
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
            "Which alerts",
            "Those that fired.",
            [Query(f"max by (alertname, severity) ({FIRING})", "{{severity}}: {{alertname}}")],
            size="half",
            stacked=True,
        ),
        Panel(
            "Secrets sent back",
            "By where in the answer: hakoiri audit search --event secret_scrubbed",
            [
                Query(
                    grown("hakoiri_proxy_scrubbed_secrets_total", by="where", over=RATE),
                    "{{where}}",
                )
            ],
            size="half",
        ),
        Panel(
            "Boxes that are open",
            "What a look from inside found at the server's start, by runtime: /ready names it, and "
            "hakoiri audit search --event box_probed.",
            [
                Query(
                    largest("hakoiri_probe_findings", 'result="open"', by="runtime"), "{{runtime}}"
                )
            ],
            size="wide",
            bad=1,
        ),
    ],
)

_AUDIT = Row(
    "The audit log",
    [
        Panel(
            "It can be written",
            "Where it cannot, /ready is 503; what it should say waits in memory.",
            [Query(smallest("hakoiri_part_up", 'part="audit"'), "up")],
            unit="bool_yes_no",
            kind="stat",
            size="small",
            warn=1,
            bad=0.5,
        ),
        Panel(
            "The proxy's cannot be written",
            "1: what the proxy decides waits in its memory.",
            [Query(largest("hakoiri_proxy_audit_faulty"), "at fault")],
            kind="stat",
            size="small",
            bad=1,
        ),
        Panel(
            "The keeper told",
            "Since when the process that signs the log has told nothing.",
            [Query(largest("hakoiri_audit_keeper_told_age_seconds"), "since")],
            unit="s",
            kind="stat",
            size="small",
            warn=60,
            bad=120,
        ),
        Panel(
            "Chains that are broken",
            "1: lines were changed, dropped or moved. `hakoiri audit verify` says which.",
            [Query(largest("hakoiri_audit_chain_broken", by="chain"), "{{chain}}")],
            kind="stat",
            size="small",
            bad=1,
        ),
        Panel(
            "The shipper told",
            "Since when it has told nothing.",
            [Query(largest("hakoiri_audit_ship_told_age_seconds"), "since")],
            unit="s",
            kind="stat",
            size="small",
            warn=30,
            bad=120,
        ),
        Panel(
            "Lines that were missed",
            "Taken away before they were copied.",
            [Query(total("hakoiri_audit_ship_missed_lines"), "lines")],
            kind="stat",
            size="small",
            bad=1,
        ),
        Panel(
            "Not signed",
            "Since when not all lines of a chain have been found signed; every 20 s they are.",
            [Query(largest("hakoiri_audit_signed_age_seconds", by="chain"), "{{chain}}")],
            unit="s",
            warn=60,
            bad=120,
        ),
        Panel(
            "Copies are behind",
            "For how long a copy has not had all.",
            [Query(largest("hakoiri_audit_ship_behind_seconds", by="target"), "{{target}}")],
            unit="s",
            warn=300,
            bad=900,
        ),
        Panel(
            "Waiting to be copied",
            "By target.",
            [Query(largest("hakoiri_audit_ship_waiting_bytes", by="target"), "{{target}}")],
            unit="bytes",
        ),
        Panel(
            "Copied",
            "By target.",
            [
                Query(
                    per_second("hakoiri_audit_ship_bytes_total", by="target"),
                    "{{target}}",
                )
            ],
            unit="Bps",
        ),
        Panel(
            "Copies that fail",
            "Steps that failed, by target.",
            [
                Query(
                    grown("hakoiri_audit_ship_failures_total", by="target", over=RATE), "{{target}}"
                )
            ],
        ),
    ],
)

SECURITY: Final = Dashboard(
    uid="hakoiri-security",
    title="Hakoiri: security",
    description="Who tried what, and whether the record of it is safe.",
    rows=[_TRIED, _AUDIT],
    variables=[INSTANCES],
)
