"""One run of the guest: a plan goes in, records of what happened come out.

A run's files are in a directory of its own, which is new, and the records must begin and end with
the plan's nonce: nothing of an earlier run can be taken for this one's.
"""

import json
import os
import secrets
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.engine import PrivateEngine
from tests.guest.guest_disk import CACHE, GuestError, ensure_guest, make_disk
from tests.guest.model_files import add_model
from tests.guest.trials import PROFILE_FILE

HERE: Final = Path(__file__).parent
RUN_LIMIT_S: Final = 2400
MEMORY_MIB: Final = 2048
GRAPH_SPARE_MIB: Final = 1024
PAYLOAD: Final = ("in_guest.py", "acts.py")
APPARMOR: Final = PROFILE_FILE.parent

Record = Mapping[str, Any]


def run_guest(
    *,
    image_id: str,
    docker_host: str,
    profiles: Mapping[str, str],
    trials: Sequence[Mapping[str, Any]],
) -> list[Record]:
    """Run the trials with the image in the guest; return its records.

    Raises `GuestError` if it did not get to the end.
    """
    guest = ensure_guest()
    graph = ensure_graph(image_id, docker_host=docker_host)
    nonce = secrets.token_hex(8)
    with tempfile.TemporaryDirectory(prefix="hakoiri-guest-", dir="/var/tmp") as name:
        work = Path(name)
        plan = {"nonce": nonce, "profiles": profiles, "trials": trials}
        (work / "plan.json").write_text(json.dumps(plan))
        with tarfile.open(work / "payload.tar", "w", dereference=True) as payload:
            payload.add(work / "plan.json", "plan.json")
            for file in PAYLOAD:
                payload.add(HERE / file, file)
            payload.add(APPARMOR, "apparmor")
            add_model(payload)
        _boot(
            [
                *("-kernel", str(guest.kernel), "-initrd", str(guest.first_files)),
                *_drive(guest.disk, "snapshot=on"),
                *_drive(work / "payload.tar", "readonly=on"),
                *_drive(graph, "snapshot=on"),
            ],
            work,
        )
        console = (work / "console").read_text(errors="replace")
        # to be looked at; no test reads them
        for file in ("console", "records"):
            shutil.copy(work / file, CACHE / f"last-{file}")
        return records_of((work / "records").read_text(errors="replace"), nonce, console)


def reason_against_guest() -> str | None:
    """Return why this machine cannot make and run the guest; None if it can."""
    if os.uname().machine != "x86_64":
        return "the guest has the processor of this machine, and is made for x86_64 alone"
    if os.geteuid() != 0:
        return "the guest is made by root; run `make test-apparmor` as root"
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    for command in ("qemu-system-x86_64", "mmdebstrap", "mke2fs", "dockerd", "docker"):
        if shutil.which(command, path=path) is None:
            return f"there is no {command}; `make test-apparmor` installs it"
    return None


def _drive(file: Path, how: str) -> tuple[str, str]:
    return "-drive", f"file={file},if=virtio,format=raw,{how}"


def _boot(what: list[str], work: Path) -> None:
    # `max`, because programs of today's need more than the oldest processor of 64 bits
    command = [
        # it must not outlive us, even if we are killed
        *("setpriv", "--pdeathsig", "KILL"),
        *("qemu-system-x86_64", "-accel", "tcg,thread=multi", "-machine", "q35", "-cpu", "max"),
        *("-smp", "2", "-m", str(MEMORY_MIB), "-nodefaults", "-no-user-config"),
        *("-display", "none", "-no-reboot", "-nic", "none", "-monitor", "none"),
        *("-serial", f"file:{work}/console", "-serial", f"file:{work}/records"),
        *what,
        "-append",
        "console=ttyS0 quiet apparmor=1 security=apparmor mitigations=off panic=-1",
    ]
    run_to_its_end(command, work, limit_s=RUN_LIMIT_S)


def run_to_its_end(command: Sequence[str], work: Path, *, limit_s: float) -> None:
    """Run a machine, whose console is a file of `work`; `GuestError` if it does not end well."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=limit_s,
            check=False,
            env={"PATH": "/usr/bin:/bin", "TMPDIR": str(work)},
        )
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        shown = _tail(work / "console")
        raise GuestError(f"the guest did not run to its end: {error}\n{shown}") from error
    if done.returncode != 0:
        raise GuestError(f"qemu failed: {done.stderr[-2000:]}")


def _tail(file: Path) -> str:
    return file.read_text(errors="replace")[-4000:] if file.exists() else ""


def records_of(text: str, nonce: str, console: str) -> list[Record]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    try:
        records: list[Record] = [json.loads(line) for line in lines]
    except ValueError as error:
        raise GuestError(f"the guest's records are broken: {error}\n{console[-4000:]}") from error
    if (
        len(records) < 2
        or records[0] != {"kind": "begin", "nonce": nonce}
        or records[-1] != {"kind": "end", "nonce": nonce}
    ):
        raise GuestError(f"the guest did not get to its end:\n{console[-4000:]}")
    return records[1:-1]


def ensure_graph(image_id: str, *, docker_host: str, cache: Path = CACHE) -> Path:
    """Return a disk with an engine's store that holds the image; make it if it is not there.

    A private engine makes it here, which is a minute quicker than the guest's would be.
    """
    graph = cache / f"graph-{image_id.removeprefix('sha256:')[:16]}"
    if graph.exists():
        return graph
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="making-") as scratch:
        part = Path(scratch) / "graph"
        engine = PrivateEngine()
        try:
            engine.start()
            _copy_image(image_id, docker_host, engine.docker_host)
            engine.stop()
            store = engine.data_directory / "data"
            used = subprocess.run(
                ["du", "--summarize", "--block-size=1M", str(store)],
                capture_output=True,
                text=True,
                check=True,
            )
            size_mib = int(used.stdout.split()[0]) * 5 // 4 + GRAPH_SPARE_MIB
            make_disk(store, part, size_mib=size_mib)
        finally:
            engine.remove()
        for old in cache.glob("graph-*"):
            old.unlink()
        shutil.move(part, graph)
    return graph


def _copy_image(image_id: str, source: str, target: str) -> None:
    with subprocess.Popen(
        ["docker", "--host", source, "save", image_id], stdout=subprocess.PIPE
    ) as saving:
        subprocess.run(
            ["docker", "--host", target, "load"],
            stdin=saving.stdout,
            check=True,
            capture_output=True,
            timeout=600,
        )
    if saving.returncode != 0:
        raise GuestError(f"docker save {image_id} failed")
