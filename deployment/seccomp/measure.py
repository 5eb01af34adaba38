"""Measures which system calls honest programs make in the workspace image.

Each workload runs in a container without a filter while `strace`, on the host, follows all of its
processes from their first instruction on. The names are compared with the profile that ships.

    sudo .venv/bin/python deployment/seccomp/measure.py IMAGE [--write]
    .venv/bin/python deployment/seccomp/measure.py --compare PROFILE.json

The first needs root, docker, strace and nsenter; `--write` renews `measured.json` beside this file,
which the analysis in docs/security and the tests of the profile read. The second counts what
another profile in Docker's format lets through for a container without capabilities, and names
what of ours it would not.
"""

import argparse
import json
import platform
import re
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
WORKLOADS = HERE / "workloads"
MEASURED = HERE / "measured.json"
MODEL_PORT = 4000
ATTACH_TIMEOUT_S = 20.0
WORKLOAD_TIMEOUT_S = 900.0

_CALL = re.compile(r"^(?:\d+ +)?(?:<\.\.\. )?([a-z][a-z0-9_]*)(?:\(| resumed>)")
_ARGUED = re.compile(r"\b(clone|mknodat|personality|socket|socketpair)\(([^)<]*)")


class MeasurementError(Exception):
    """A workload did not do its work, so its calls say nothing."""


def names_of(trace: Iterable[str]) -> set[str]:
    """Return the system calls in the lines of `strace -f`; signals and exits are none."""
    return {found[1] for line in trace if (found := _CALL.match(line))}


def arguments_of(trace: Iterable[str]) -> set[str]:
    """Return the calls whose arguments the profile looks at, as their symbols."""
    calls = set()
    for line in trace:
        if found := _ARGUED.search(line):
            kept = re.findall(r"\b(?!NULL)[A-Z][A-Z0-9_|]+", found[2])
            calls.add(f"{found[1]}({', '.join(kept)})")
    return calls


def let_through(profile: Mapping[str, Any]) -> set[str]:
    """Return what a profile lets through for a container without capabilities on x86_64."""
    names = set()
    for rule in profile["syscalls"]:
        needs = rule.get("includes") or {}
        elsewhere = needs.get("arches") and "amd64" not in needs["arches"]
        if rule["action"] == "SCMP_ACT_ALLOW" and not needs.get("caps") and not elsewhere:
            names.update(rule["names"])
    return names


def compare(other: Path) -> None:
    """Tell how another profile and ours differ in number, and what ours has alone."""
    ours, theirs = (
        let_through(json.loads(path.read_text()))
        for path in (HERE / "workspace-seccomp.json", other)
    )
    print(f"ours: {len(ours)}, {other}: {len(theirs)}, in ours alone: {sorted(ours - theirs)}")


@contextmanager
def gated_container(image: str, workload: Path, gate: Path) -> Iterator[tuple[str, int]]:
    """Start a container that waits at the gate; give its name and process id on the host."""
    name = f"hakoiri-measure-{uuid.uuid4().hex[:12]}"
    command = [
        *("docker", "run", "--detach", f"--name={name}", "--network=none", "--read-only"),
        *(
            "--cap-drop=ALL",
            "--security-opt=no-new-privileges",
            "--security-opt=seccomp=unconfined",
        ),
        "--tmpfs=/tmp:rw,exec,nosuid,nodev,mode=1777",
        *(
            f"--tmpfs={target}:rw,exec,nosuid,nodev,uid=1000,gid=1000,mode=0755"
            for target in ("/home/agent", "/workspace", "/run/hakoiri/agent")
        ),
        f"--volume={workload.parent}:/workloads:ro",
        f"--volume={gate}:/gate:ro",
        "--entrypoint=/bin/sh",
        image,
        *("-c", f"read -r _ </gate/fifo; exec /workloads/{workload.name}"),
    ]
    try:
        _run(command)
        yield name, int(_run(["docker", "inspect", "--format={{.State.Pid}}", name]))
    finally:
        subprocess.run(["docker", "rm", "--force", name], capture_output=True, check=False)


@contextmanager
def model(pid: int) -> Iterator[None]:
    """Let the rehearsal model answer on the container's own loopback."""
    with subprocess.Popen(
        [
            *("nsenter", f"--net=/proc/{pid}/ns/net", sys.executable, "-P"),
            *("-m", "hakoiri.rehearsal", "--listen", f"127.0.0.1:{MODEL_PORT}"),
            *("--script", str(WORKLOADS / "agent.yaml")),
        ],
        stdout=subprocess.PIPE,
        env={"HAKOIRI_REHEARSAL_API_KEY": "none"},
    ) as process:
        try:
            if process.stdout is None or not process.stdout.readline():
                raise MeasurementError("the rehearsal model did not start")
            yield
        finally:
            process.terminate()


def trace(image: str, workload: Path) -> list[str]:
    """Run one workload in its container; return what strace saw."""
    with tempfile.TemporaryDirectory(prefix="hakoiri-measure-") as name:
        gate = Path(name)
        gate.chmod(0o755)
        _run(["mkfifo", "--mode=666", str(gate / "fifo")])
        seen = gate / "trace"
        with (
            gated_container(image, workload, gate) as (container, pid),
            model(pid),
            subprocess.Popen(
                ["strace", "-f", "-qq", "-s", "0", "-o", str(seen), "-p", str(pid)]
            ) as tracer,
        ):
            _wait_for_tracer(pid)
            (gate / "fifo").write_text("go\n")
            status = _run(["docker", "wait", container], timeout_s=WORKLOAD_TIMEOUT_S)
            tracer.wait(ATTACH_TIMEOUT_S)
            logs = subprocess.run(["docker", "logs", container], capture_output=True, check=True)
        if status != "0" or b": all done" not in logs.stdout:
            said = (logs.stdout + logs.stderr).decode(errors="replace")
            raise MeasurementError(f"{workload.name} ended with {status}: {said[-2000:]}")
        return seen.read_text(errors="replace").splitlines()


def _wait_for_tracer(pid: int) -> None:
    deadline_s = time.monotonic() + ATTACH_TIMEOUT_S
    while "TracerPid:\t0\n" in Path(f"/proc/{pid}/status").read_text():
        if time.monotonic() > deadline_s:
            raise MeasurementError("strace did not attach; is it installed, and are you root?")
        time.sleep(0.05)


def _run(command: list[str], *, timeout_s: float = 120) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    if done.returncode != 0:
        raise MeasurementError(f"{command[0]} {command[1]}: {done.stderr.strip()}")
    return done.stdout.strip()


def main() -> None:
    """Measure every workload, tell how the profile compares, and renew the file if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image", nargs="?")
    parser.add_argument("--compare", type=Path)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--only", default="*")
    given = parser.parse_args()
    if given.compare is not None:
        compare(given.compare)
        return
    if given.image is None:
        parser.error("name the workspace image (`hakoiri image build` prints it)")
    calls: dict[str, list[str]] = {}
    arguments: set[str] = set()
    for workload in sorted(WORKLOADS.glob(f"{given.only}.sh")):
        lines = trace(given.image, workload)
        calls[workload.stem] = sorted(names_of(lines))
        arguments |= arguments_of(lines)
        print(f"{workload.stem}: {len(calls[workload.stem])} calls", flush=True)
    print(f"in all: {len(set().union(*calls.values()))} calls")
    print("\n".join(sorted(arguments)))
    if given.write:
        measured = {
            "machine": platform.machine(),
            "workloads": calls,
            "arguments": sorted(arguments),
        }
        MEASURED.write_text(json.dumps(measured, indent=1) + "\n")


if __name__ == "__main__":
    main()
