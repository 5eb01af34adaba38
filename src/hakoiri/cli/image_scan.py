"""What `hakoiri image scan` saw, for people and as data."""

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from hakoiri.cli.screen import say
from hakoiri.cli.workspace_image import IMAGE_SOURCES
from hakoiri.image.engine import Engine
from hakoiri.image.layer_scan import Finding, scan_layers
from hakoiri.image.saved_image import read_saved_image
from hakoiri.image.scan_record import ScanRecord
from hakoiri.image.vulnerability_scanners import ScannerReport, run_scanners


@dataclass(frozen=True, slots=True)
class ImageScan:
    """What our own look through the layers found, and what each scanner said."""

    image_id: str
    findings: list[Finding]
    scanners: list[ScannerReport]

    @property
    def is_clean(self) -> bool:
        """Whether nothing was found, by those that could look."""
        return not self.findings and all(report.state != "vulnerable" for report in self.scanners)


def read_scan(reference: str, *, docker_host: str | None, recipe: Path) -> ImageScan:
    """Look through the image, and ask the scanners; raises `ImageBuildError`.

    `recipe` is the root of the sources, whose requirement files the audits take.
    """
    engine = Engine(docker_host)
    image_id = engine.describe(reference).image_id
    with engine.saved(image_id) as archive:
        findings = sorted(scan_layers(read_saved_image(archive)))
    scanners = run_scanners(image=image_id, recipe=recipe / IMAGE_SOURCES, docker_host=docker_host)
    return ImageScan(image_id, findings, scanners)


def record_of(scan: ImageScan, *, now: datetime) -> ScanRecord:
    """Return what is noted of a scan."""
    return ScanRecord(
        image=scan.image_id,
        at=now,
        findings=len(scan.findings),
        scanners={report.scanner: report.state for report in scan.scanners},
    )


def show_scan(scan: ImageScan, *, as_json: bool) -> None:
    """Print the scan."""
    if as_json:
        say(json.dumps({**asdict(scan), "clean": scan.is_clean}))
        return
    say(scan.image_id)
    say(f"layers: {len(scan.findings) or 'no'} finding{'s'[: len(scan.findings) != 1]}")
    for finding in scan.findings:
        say(f"  {finding.rule}: {finding.path!r} ({finding.detail})")
    for report in scan.scanners:
        told = f"{report.state} ({report.reason})" if report.reason else report.state
        say(f"{report.scanner}: {told}")
        for each in report.vulnerabilities:
            fixed = f", fixed in {each.fixed_in}" if each.fixed_in else ""
            say(f"  {each.identifier} {each.package} {each.version} {each.severity}{fixed}")
