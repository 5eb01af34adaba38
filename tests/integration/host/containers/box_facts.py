"""Runs in a container: prints what the box looks like from inside, as JSON."""

# Kept to the standard library of the image's Python: only this text goes into the container.

import json
import os
import resource
import sys
from pathlib import Path


def mounts() -> dict[str, list[str]]:
    lines = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return {fields[4]: sorted({*fields[5].split(","), *fields[-1].split(",")}) for fields in lines}


def is_empty(path: str) -> bool:
    there = Path(path)
    try:
        return not any(there.iterdir()) if there.is_dir() else there.read_bytes()[:1] == b""
    except OSError:
        return False


def how_writing_fails(path: str) -> str:
    try:
        with Path(path).open("ab") as file:
            file.write(b"")
    except OSError as error:
        return error.strerror or "?"
    return "written"


def orphan_remains() -> bool:
    reader, writer = os.pipe()
    if os.fork() == 0:
        orphan = os.fork()
        if orphan == 0:
            os.close(reader)
            os._exit(0)
        os.write(writer, str(orphan).encode())
        os._exit(0)
    os.wait()
    orphan = int(os.read(reader, 20))
    for _ in range(100_000):
        if not Path(f"/proc/{orphan}").exists():
            return False
        os.sched_yield()
    return True


def main() -> None:
    asked = json.loads(sys.argv[1])
    status = dict(
        line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines()
    )
    tmp, shm = os.statvfs("/tmp"), os.statvfs("/dev/shm")  # noqa: S108 - the container's own
    facts = {
        "namespaces": {
            name: str(Path(f"/proc/self/ns/{name}").readlink())
            for name in ("cgroup", "ipc", "mnt", "net", "pid", "uts")
        },
        "mounts": mounts(),
        "masked": {path: is_empty(path) for path in asked["masked"] if Path(path).exists()},
        "writing": {path: how_writing_fails(path) for path in asked["written"]},
        "capabilities": {name: status[name] for name in status if name.startswith("Cap")},
        "ids": [os.getuid(), os.getgid(), os.getgroups()],
        "oom_score_adj": int(Path("/proc/self/oom_score_adj").read_text()),
        "limits": {
            name: list(resource.getrlimit(getattr(resource, f"RLIMIT_{name}")))
            for name in ("CORE", "FSIZE", "NOFILE")
        },
        "tmp": [tmp.f_blocks * tmp.f_frsize, tmp.f_files],
        "shm": shm.f_blocks * shm.f_frsize,
        "interfaces": sorted(path.name for path in Path("/sys/class/net").iterdir()),
        "devices": sorted(path.name for path in Path("/dev").iterdir()),
        "orphan remains": orphan_remains(),
    }
    print(json.dumps(facts))  # noqa: T201 - how it answers


if __name__ == "__main__":
    main()
