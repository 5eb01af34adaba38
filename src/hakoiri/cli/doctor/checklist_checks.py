"""The rest of the checklist for production: what a start does not demand. Facts in, findings out.

None of these refuses a start, so none is `missing`: a warning is what this host could close, `open`
what it cannot, or cannot tell.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from hakoiri.audit.shipping.status import ShipStatus
from hakoiri.cli.doctor.engine_checks import RUNSC_MEND
from hakoiri.cli.doctor.engine_facts import EngineFacts
from hakoiri.cli.doctor.finding import Finding
from hakoiri.cli.doctor.lifecycle_check import LifecycleTold, check_lifecycle
from hakoiri.cli.doctor.production_checks import PREFIX
from hakoiri.docker_guard.runsc_flags import why_not_sealed
from hakoiri.host.settings import Settings
from hakoiri.image.scan_record import ScanRecord, age_days

SCAN_AGE_DAYS: Final = 8
"""A look each week, and a day for it to fail."""

SHIP_STALE_S: Final = 30.0
"""The shipper tells its state every 2 s."""


@dataclass(frozen=True, slots=True)
class ChecklistFacts:
    """All that is judged, beside the settings."""

    now: datetime
    engine: EngineFacts | None
    lifecycle: LifecycleTold | None
    """None where the store is no bucket."""

    scan: ScanRecord | None
    falco_runs: bool
    falco_has_our_rules: bool
    ship: ShipStatus | None


def check_checklist(settings: Settings, facts: ChecklistFacts) -> list[Finding]:
    """Return one finding for each line of the list, in its order."""
    return [
        check_lifecycle(f"{PREFIX}lifecycle policy", settings, facts.lifecycle),
        _scan(facts.scan, now=facts.now),
        _gvisor(settings, facts.engine),
        _falco(settings, runs=facts.falco_runs, has_our_rules=facts.falco_has_our_rules),
        _copies(settings, facts),
        _public_key(settings),
        _hosts(),
    ]


def _ok(name: str, text: str) -> Finding:
    return Finding.ok(PREFIX + name, text)


def _warning(name: str, text: str, *, mend: str) -> Finding:
    return Finding.warning(PREFIX + name, text, mend=mend)


def _open(name: str, text: str, *, mend: str) -> Finding:
    return Finding.open(PREFIX + name, text, mend=mend)


def _scan(scan: ScanRecord | None, *, now: datetime) -> Finding:
    name = "image scan"
    mend = "`hakoiri image scan`, each night"
    if scan is None:
        return _warning(name, "nobody is known to have looked through this image", mend=mend)
    days = age_days(scan, now=now)
    if not scan.is_clean:
        return _warning(
            name,
            "something was found when it was last looked through",
            mend="`hakoiri image scan` says what; build the image anew",
        )
    if not 0 <= days <= SCAN_AGE_DAYS:
        return _warning(name, f"it was last looked through {days:.0f} days ago", mend=mend)
    if not scan.looked:
        return _warning(
            name,
            "its layers are clean, but no scanner looked for known vulnerabilities",
            mend="install Trivy or Grype; `hakoiri image scan` says what each answered",
        )
    return _ok(name, f"clean {days:.1f} days ago, by our own look and {', '.join(scan.looked)}")


def _gvisor(settings: Settings, engine: EngineFacts | None) -> Finding:
    name = "gvisor"
    if settings.container.runtime != "runsc":
        return _warning(
            name,
            "containers share the host's kernel (runc)",
            mend="HAKOIRI_CONTAINER__RUNTIME=runsc, where strangers' code runs; "
            "docs/security/gvisor.md says what it costs",
        )
    arguments = engine.runtimes.get("runsc") if engine is not None else None
    if arguments is None:
        return _warning(name, "runsc is not registered", mend=RUNSC_MEND)
    if (why := why_not_sealed(arguments)) is not None:
        return _warning(name, f"runsc is registered {why}", mend=RUNSC_MEND)
    return _ok(name, "each container has a kernel of its own (runsc)")


def _falco(settings: Settings, *, runs: bool, has_our_rules: bool) -> Finding:
    name = "falco"
    if settings.container.runtime == "runsc":
        return _open(
            name,
            "under gVisor it does not see what happens in a container",
            mend="the server tells killed system calls itself; "
            "`hakoiri audit search --event seccomp_violation`",
        )
    if not runs:
        return _warning(
            name,
            "no process of that name runs here",
            mend="install Falco 0.41 or newer, and put deployment/falco/hakoiri_rules.yaml into "
            "/etc/falco/rules.d",
        )
    if not has_our_rules:
        return _warning(
            name,
            "it runs, without our rules",
            mend="`cp deployment/falco/hakoiri_rules.yaml /etc/falco/rules.d/`, and start it anew",
        )
    return _ok(name, "it runs, and our rules are where it reads them")


def _copies(settings: Settings, facts: ChecklistFacts) -> Finding:
    name = "audit copies"
    if settings.audit.ship_file is None:
        return _warning(
            name,
            "the audit log is on this host alone, and so is root's to lose",
            mend="name where it is copied to in HAKOIRI_AUDIT__SHIP_FILE; see "
            "docs/operations/audit-log.md",
        )
    told = facts.ship
    if told is None or facts.now.timestamp() - told.told_at > SHIP_STALE_S:
        return _warning(
            name,
            "the process that copies it tells nothing",
            mend="start `hakoiri serve`; `hakoiri audit ship status` says more",
        )
    if failing := [one.name for one in told.targets if one.error is not None]:
        return _warning(
            name,
            f"it cannot be copied to {', '.join(failing)}",
            mend="`hakoiri audit ship status` says why",
        )
    return _ok(name, f"copied to {', '.join(one.name for one in told.targets)}")


def _public_key(settings: Settings) -> Finding:
    return _open(
        "audit key elsewhere",
        "whether somebody else keeps the key that signed heads are checked with",
        mend=f"copy {settings.audit.dir}/INSTANCE/keeper/public.pem to another machine, and there "
        "`hakoiri audit verify --dir COPY --key KEY`",
    )


def _hosts() -> Finding:
    return _open(
        "several hosts",
        "containers run on this host alone; others are not built",
        mend="give each host a server, a database and tenants of its own",
    )
