"""The credential proxy: what is let through and refused, how fast, and what of budgets is used."""

from typing import Final

from deployment.monitoring.dashboards.model import (
    INSTANCES,
    RATE,
    Dashboard,
    Panel,
    Query,
    Row,
    grown_from_nothing,
    largest,
    or_none,
    per_second,
    quantile,
    quantiles,
    total,
)

_P: Final = "hakoiri_proxy_"

_REQUESTS = Row(
    "Requests",
    [
        Panel(
            "By decision",
            "Requests and tunnels that are over.",
            [Query(per_second(f"{_P}requests_total", by="decision"), "{{decision}}")],
            unit="ops",
            stacked=True,
        ),
        Panel(
            "By rule",
            "`(none)`: no rule had a say; `(other)`: rules beyond those that are told.",
            [
                Query(
                    f"topk(10, {per_second(f'{_P}requests_total', by='rule')})",
                    "{{rule}}",
                )
            ],
            unit="ops",
        ),
        Panel(
            "By way out and status",
            "Of the answer that the container got.",
            [Query(per_second(f"{_P}requests_total", by="route, status"), "{{route}} {{status}}")],
            unit="ops",
            stacked=True,
        ),
        Panel(
            "Refused",
            "By the code that the container was told.",
            [Query(grown_from_nothing(f"{_P}refusals_total", by="code", over=RATE), "{{code}}")],
            size="half",
        ),
        Panel(
            "Failed",
            "Let through, and not ended as it should.",
            [Query(grown_from_nothing(f"{_P}failures_total", by="code", over=RATE), "{{code}}")],
            size="half",
        ),
    ],
)

_TIMES = Row(
    "Times",
    [
        Panel(
            "Whole requests",
            "From the head to the answer's end; a model's answer takes as long as it speaks.",
            quantiles(f"{_P}request_seconds"),
            unit="s",
        ),
        Panel(
            "What requests waited for",
            "95 %; first_byte has queue, dns, connect and tls in it.",
            [Query(quantile(0.95, f"{_P}request_phase_seconds", by="phase"), "{{phase}}")],
            unit="s",
        ),
        Panel(
            "The model's first byte",
            "95 %, by the credential that the calls are signed with.",
            [
                Query(
                    quantile(
                        0.95,
                        f"{_P}request_phase_seconds",
                        'rule=~"model:.+"',
                        'phase="first_byte"',
                        by="rule",
                    ),
                    "{{rule}}",
                )
            ],
            unit="s",
        ),
        Panel(
            "Waiting for a free connection",
            "99 % of the last ten minutes; above 0.1 s an upstream is slow, or is allowed too few. "
            "0: no request had to wait.",
            [Query(or_none("hakoiri:proxy_queue_seconds:p99_10m >= 0"), "99 %")],
            unit="s",
            warn=0.1,
        ),
        Panel(
            "Time of tunnels",
            "Tunnels, WebSockets and intercepted connections.",
            quantiles(f"{_P}tunnel_seconds"),
            unit="s",
        ),
        Panel(
            "Bytes",
            "Of bodies and tunnels: up to the upstreams, down to the containers.",
            [Query(per_second(f"{_P}transferred_bytes_total", by="direction"), "{{direction}}")],
            unit="Bps",
        ),
    ],
)

_STATE = Row(
    "What is open",
    [
        Panel(
            "Requests and tunnels",
            "That run now.",
            [
                Query(total(f"{_P}requests_open"), "requests"),
                Query(total(f"{_P}tunnels_open"), "tunnels"),
            ],
        ),
        Panel(
            "Containers' sockets",
            "One that is not bound refuses everything.",
            [Query(total(f"{_P}sockets", by="state"), "{{state}}")],
            stacked=True,
        ),
        Panel(
            "Connections to upstreams",
            "Without tunnels.",
            [Query(total(f"{_P}upstream_connections", by="state"), "{{state}}")],
            stacked=True,
        ),
        Panel(
            "Connections made and used again",
            "And those that were closed while they waited.",
            [
                Query(per_second(f"{_P}upstream_connections_opened_total"), "made"),
                Query(per_second(f"{_P}upstream_connections_reused_total"), "used again"),
                Query(per_second(f"{_P}upstream_connections_evicted_total"), "closed"),
            ],
            unit="ops",
        ),
        Panel(
            "Names asked for",
            "`hit`: kept; `miss`: asked of DNS.",
            [Query(per_second(f"{_P}dns_questions_total", by="result"), "{{result}}")],
            unit="ops",
            stacked=True,
        ),
        Panel(
            "Answers of name servers",
            "`failed`: none came.",
            [Query(per_second(f"{_P}dns_answers_total", by="result"), "{{result}}")],
            unit="ops",
            stacked=True,
        ),
        Panel(
            "Kept names and certificates",
            "Certificates are for intercepted hosts.",
            [
                Query(total(f"{_P}dns_cache_entries"), "names"),
                Query(total(f"{_P}leaf_cache_entries"), "certificates"),
            ],
        ),
        Panel(
            "Interceptions",
            "Certificates made anew, and those at hand.",
            [
                Query(per_second(f"{_P}leaf_certificates_made_total"), "made"),
                Query(per_second(f"{_P}leaf_cache_hits_total"), "at hand"),
            ],
            unit="ops",
        ),
    ],
)

_SPEND = Row(
    "Credentials and budgets",
    [
        Panel(
            "Spend",
            "Of the budgets of day and month, the largest part that anybody has used. "
            "GET /budgets on the control socket tells whose.",
            [
                Query(
                    largest(f"{_P}budget_used_ratio", 'limit=~"spend_.+"', by="holder, limit"),
                    "{{holder}} {{limit}}",
                )
            ],
            unit="percentunit",
            warn=0.9,
            bad=1,
        ),
        Panel(
            "Tokens and bytes",
            "The same for the budgets of tokens and bytes.",
            [
                Query(
                    largest(f"{_P}budget_used_ratio", 'limit!~"spend_.+"', by="holder, limit"),
                    "{{holder}} {{limit}}",
                )
            ],
            unit="percentunit",
            warn=0.9,
            bad=1,
        ),
        Panel(
            "Refused for a budget",
            "Model calls and requests over a budget.",
            [
                Query(
                    or_none(
                        grown_from_nothing(f"{_P}refusals_total", 'code="over-budget"', over=RATE)
                    ),
                    "over budget",
                )
            ],
        ),
        Panel(
            "Credentials at fault",
            "1: its source was at fault when it was last used.",
            [Query(largest(f"{_P}credential_faulty", by="credential"), "{{credential}}")],
            at_most=1,
        ),
        Panel(
            "Sources that fail",
            "Questions to a credential's command or chain; 0 where nothing ever failed.",
            [
                Query(
                    or_none(
                        grown_from_nothing(f"{_P}credential_refresh_failures_total", over=RATE)
                    ),
                    "failed",
                )
            ],
        ),
        Panel(
            "Budgets written down",
            "1: what was used cannot be; a restart would forget it.",
            [Query(largest(f"{_P}budget_faulty"), "at fault")],
            at_most=1,
        ),
    ],
)

PROXY: Final = Dashboard(
    uid="hakoiri-proxy",
    title="Hakoiri: proxy and spend",
    description="What containers asked for, what they got, how long it took, and what it cost.",
    rows=[_REQUESTS, _TIMES, _STATE, _SPEND],
    variables=[INSTANCES],
)
