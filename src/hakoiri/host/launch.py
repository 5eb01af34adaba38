"""What the supervisor hands to the processes of the server's room, on their standard input."""

from pathlib import Path

from hakoiri.host.settings import Settings
from hakoiri.host.settings_section import Section
from hakoiri.tracing.launch import TracingLaunch
from hakoiri.wire.probe import ProbeReport


class AppArmorKnown(Section):
    """What root saw of the kernel's AppArmor; the server itself may not look."""

    enabled: bool = False
    profiles: dict[str, str] | None = None
    """The mode of each loaded profile; None if that cannot be told."""


class ServerLaunch(Section):
    """What the supervisor hands to the control plane on its standard input."""

    settings: Settings
    instance: str
    image: str
    control_socket: Path
    guard_socket: Path
    kernel_log: int | None = None
    """An open descriptor of `/dev/kmsg`; absent where the supervisor may not read it."""

    apparmor: AppArmorKnown = AppArmorKnown()

    keep_containers: bool = False
    """Whether containers stay when the server stops, for the next one to adopt."""

    audit_dir: Path | None = None
    """Where the server's own audit log is written; absent means none."""

    audit_reader: Path | None = None
    """The socket of the process that shows the audit log."""

    keeper_status: Path | None = None
    """What the process that signs the audit log tells; absent means that none is kept."""

    ship_status: Path | None = None
    """What the process that copies the audit log tells; absent means that none does."""

    tracing: TracingLaunch | None = None
    """Where spans are sent; absent means nowhere."""


class ProbeLaunch(Section):
    """What is handed to the probe: a launch of its own, and where its report goes.

    `report` is an open descriptor; what is written there is a `ProbeOutcome`.
    """

    server: ServerLaunch
    thorough: bool
    report: int


class ProbeOutcome(Section):
    """What the probe writes: the report, and how long it took without its container's start."""

    report: ProbeReport
    took_s: float
