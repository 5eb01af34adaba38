"""One run of the aarch64 guest: a plan goes in, records of what happened come out."""

import json
import os
import secrets
import shutil
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.guest.guest_disk import Guest
from tests.guest.machine import Record, records_of, run_to_its_end
from tests.guest.model_files import add_model
from tests.guest_aarch64.boxes import WORKLOADS, Box, program_of_32_bits
from tests.guest_aarch64.disk import CACHE, ROOT, ensure_guest

HERE: Final = Path(__file__).parent
UNDER_FILTER: Final = ROOT / "tests/seccomp/under_filter.py"
PRELOAD: Final = ROOT / "workspace-base/loopback-interfaces.cjs"
RUN_LIMIT_S: Final = 2400
MEMORY_MIB: Final = 2048
RECORDS_BYTES: Final = 16 * 1024 * 1024


def run_guest(
    *, asking: bytes, asked: Sequence[Sequence[int]], alone: Sequence[Box], together: Sequence[Box]
) -> list[Record]:
    """Ask the program `asking` about the calls, run the boxes; return the guest's records.

    Raises `GuestError` if it did not get to the end.
    """
    guest = ensure_guest()
    nonce = secrets.token_hex(8)
    with tempfile.TemporaryDirectory(prefix="hakoiri-guest-", dir="/var/tmp") as name:
        work = Path(name)
        plan = {"nonce": nonce, "asked": asked, "alone": alone, "together": together}
        (work / "plan.json").write_text(json.dumps(plan))
        (work / "asking").write_bytes(asking)
        (work / "of-32-bits").write_bytes(program_of_32_bits())
        (work / "of-32-bits").chmod(0o755)
        with tarfile.open(work / "payload.tar", "w", dereference=True) as payload:
            for file in (work / "plan.json", work / "asking", UNDER_FILTER, HERE / "in_guest.py"):
                payload.add(file, file.name)
            payload.add(work / "of-32-bits", "programs/of-32-bits")
            payload.add(WORKLOADS, "workloads")
            payload.add(HERE / "turn.sh", "turn/turn.sh")
            add_model(payload)
            payload.add(PRELOAD, f"preloads/{PRELOAD.name}")
        (work / "records").write_bytes(bytes(RECORDS_BYTES))
        _boot(guest, work)
        console = (work / "console").read_text(errors="replace")
        told = (work / "records").read_bytes().rstrip(b"\0").decode("utf-8", "replace")
        # to be looked at; no test reads them
        (CACHE / "last-console").write_text(console)
        (CACHE / "last-records").write_text(told)
        return records_of(told, nonce, console)


def reason_against_guest() -> str | None:
    """Return why this machine cannot make and run the guest; None if it can."""
    if os.geteuid() != 0:
        return "the guest is made by root; run `make test-aarch64` as root"
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    for command in ("qemu-system-aarch64", "mmdebstrap", "mke2fs"):
        if shutil.which(command, path=path) is None:
            return f"there is no {command}; `make test-aarch64` installs it"
    return None


def _drive(file: Path, how: str) -> tuple[str, str]:
    return "-drive", f"file={file},if=virtio,format=raw,{how}"


def _boot(guest: Guest, work: Path) -> None:
    command = [
        # it must not outlive us, even if we are killed
        *("setpriv", "--pdeathsig", "KILL"),
        *("qemu-system-aarch64", "-accel", "tcg,thread=multi", "-machine", "virt"),
        # a processor that has the older machines' 32 bits, too
        *("-cpu", "cortex-a72", "-smp", "2", "-m", str(MEMORY_MIB), "-nodefaults"),
        *("-no-user-config", "-display", "none", "-no-reboot", "-nic", "none", "-monitor", "none"),
        *("-serial", f"file:{work}/console"),
        *("-kernel", str(guest.kernel), "-initrd", str(guest.first_files)),
        *_drive(guest.disk, "snapshot=on"),
        *_drive(work / "payload.tar", "readonly=on"),
        *_drive(work / "records", "cache=writethrough"),
        *("-append", "console=ttyAMA0 quiet mitigations=off panic=-1"),
    ]
    run_to_its_end(command, work, limit_s=RUN_LIMIT_S)
