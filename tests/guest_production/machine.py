"""One run of the machine: a plan goes in, records of what happened come out."""

import json
import secrets
import shutil
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tests.e2e.scripts import RUN
from tests.guest.guest_disk import CACHE, GuestError
from tests.guest.machine import Record, records_of, run_to_its_end
from tests.guest_production.disks import ROOT, ensure_machine, ensure_release, ensure_store
from tests.guest_production.guide import MODEL_PORT, UNDOINGS, steps

from hakoiri.cli.image_scan import read_scan, record_of
from hakoiri.image.bill_file import ensure_bill
from hakoiri.image.build import DEFAULT_CACHE_DIR
from hakoiri.image.engine import Engine
from hakoiri.image.scan_record import write_record
from hakoiri.image.signature import directory_of

HERE: Final = Path(__file__).parent
RUN_LIMIT_S: Final = 3000
MEMORY_MIB: Final = 4096
"""What the guide asks for, as are the two processors."""

KERNEL: Final = "console=ttyS0 quiet apparmor=1 security=apparmor psi=1 mitigations=off panic=-1"
SYSTEMD: Final = "root=/dev/vda rw systemd.show_status=no"


def run_production(image: str, *, docker_host: str) -> list[Record]:
    """Set the host up by the guide, and try it; return what came of it. Raises `GuestError`."""
    machine = ensure_machine()
    release, release_disk = ensure_release(machine)
    image_id = Engine(docker_host).describe(image).image_id
    store = ensure_store(image, image_id, docker_host=docker_host)
    nonce, secret = secrets.token_hex(8), secrets.token_hex(20)
    key_id = "AKIATHEMACHINESMODEL"
    with tempfile.TemporaryDirectory(prefix="hakoiri-guest-", dir="/var/tmp") as name:
        work = Path(name)
        plan = {
            "nonce": nonce,
            "steps": [asdict(one) for one in steps(access_key_id=key_id, secret=secret)],
            "undoings": [asdict(one) for one in UNDOINGS],
            "model": {"port": MODEL_PORT, "access_key_id": key_id, "secret": secret},
        }
        (work / "plan.json").write_text(json.dumps(plan))
        (work / "script.yaml").write_text(RUN)
        _build_machines_notes(image, image_id, docker_host, work)
        with tarfile.open(work / "payload.tar", "w") as payload:
            payload.add(work / "plan.json", "plan.json")
            payload.add(work / "script.yaml", "script.yaml")
            payload.add(HERE / "in_guest.py", "in_guest.py")
            payload.add(work / "bills", "bills")
            payload.add(work / "images", "images")
        drives = [
            *_drive(machine.disk, "snapshot=on"),
            *_drive(work / "payload.tar", "readonly=on"),
            *_drive(release_disk, "snapshot=on"),
            *_drive(store, "snapshot=on"),
        ]
        files = ["-kernel", str(machine.kernel), "-initrd", str(machine.first_files)]
        try:
            run_to_its_end(_command(work, [*files, *drives]), work, limit_s=RUN_LIMIT_S)
        finally:
            # to be looked at; no test reads them
            for file in ("console", "records"):
                if (work / file).exists():
                    shutil.copy(work / file, CACHE / f"last-production-{file}")
        console = (work / "console").read_text(errors="replace")
        told = records_of((work / "records").read_text(errors="replace"), nonce, console)
    return [{"kind": "release", "name": release}, *told]


def _command(work: Path, what: Sequence[str]) -> list[str]:
    return [
        # it must not outlive us, even if we are killed
        *("setpriv", "--pdeathsig", "KILL"),
        *("qemu-system-x86_64", "-accel", "tcg,thread=multi", "-machine", "q35", "-cpu", "max"),
        *("-smp", "2", "-m", str(MEMORY_MIB), "-nodefaults", "-no-user-config"),
        *("-display", "none", "-no-reboot", "-nic", "none", "-monitor", "none"),
        *("-serial", f"file:{work}/console", "-serial", f"file:{work}/records"),
        *what,
        *("-append", f"{KERNEL} {SYSTEMD}"),
    ]


def _drive(file: Path, how: str) -> tuple[str, str]:
    return "-drive", f"file={file},if=virtio,format=raw,{how}"


def _build_machines_notes(image: str, image_id: str, docker_host: str, work: Path) -> None:
    """Write what the machine that built the image knows of it: its bill, and what a look found."""
    engine = Engine(docker_host)
    bills = work / "bills"
    bills.mkdir()
    bill = ensure_bill(image, engine=engine, cache_dir=DEFAULT_CACHE_DIR)
    (bills / f"{image_id.replace(':', '-')}.cdx.json").write_text(bill)
    scan = read_scan(image, docker_host=docker_host, recipe=ROOT)
    told = write_record(
        record_of(scan, now=datetime.now(UTC)), directory_of(work / "images", image_id)
    )
    if told:
        raise GuestError(told)
