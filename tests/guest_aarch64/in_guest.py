"""Runs in the aarch64 guest: asks the filter, runs the containers of the plan, tells what came.

It judges nothing. The plan (`plan.json`) names calls to ask about, and boxes: each is a
configuration for `runc` (OCI's) and what its program gets on standard input; some run alone, so
that the kernel's records are theirs. What it tells is one JSON a line; the first and the last
repeat the plan's nonce.
"""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

PAYLOAD = Path("/payload")
BUNDLES = Path("/run/bundles")
STEP_LIMIT_S = 1200
AT_ONCE = 2
OUTPUT_LIMIT_CHARS = 200_000
RECORD_LIMIT_BYTES = 8192
SECCOMP_RECORD = b"type=1326"


def run(*command: str, given: str = "") -> dict[str, Any]:
    """Run a command; return its code, its output and how long it took."""
    began_s = time.monotonic()
    try:
        done = subprocess.run(
            command, input=given, capture_output=True, text=True, timeout=STEP_LIMIT_S, check=False
        )
        found = {"code": done.returncode, "out": done.stdout, "err": done.stderr[-3000:]}
    except subprocess.TimeoutExpired:
        found = {"code": -1, "out": "", "err": f"not done in {STEP_LIMIT_S} s"}
    return found | {"took_s": time.monotonic() - began_s}


def tell(kind: str, **facts: object) -> None:
    """Print one line."""
    print(json.dumps({"kind": kind, **facts}), flush=True)
    sys.stderr.write(f"guest {time.monotonic():.0f} s: {kind} {facts.get('name', '')}\n")


def new_records(log: int) -> list[str]:
    """Return the kernel's records of killed calls since the last look."""
    found: list[str] = []
    while True:
        try:
            record = os.read(log, RECORD_LIMIT_BYTES)
        except BlockingIOError:
            return found
        if SECCOMP_RECORD in record:
            found.append(record.decode("ascii", "replace"))


def run_box(box: dict[str, Any]) -> dict[str, Any]:
    """Run one container to its end; return how it went."""
    bundle = BUNDLES / box["name"]
    bundle.mkdir(parents=True)
    (bundle / "config.json").write_text(json.dumps(box["configuration"]))
    done = run("runc", "run", "--bundle", str(bundle), box["name"], given=box["given"])
    return {"name": box["name"], **done, "out": done["out"][-OUTPUT_LIMIT_CHARS:]}


def main() -> None:
    """Do what the plan says."""
    plan = json.loads((PAYLOAD / "plan.json").read_text())
    tell("begin", nonce=plan["nonce"])
    tell("machine", name=os.uname().machine, release=os.uname().release)
    log = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    asking = (str(PAYLOAD / "under_filter.py"), str(PAYLOAD / "asking"), "ask")
    tell("asked", **run("python3", "-I", *asking, given=json.dumps(plan["asked"])))
    new_records(log)
    for box in plan["alone"]:
        done = run_box(box)
        tell("box", log=new_records(log), **done)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for done in pool.map(run_box, plan["together"]):
            tell("box", **done)
    tell("records of all together", log=new_records(log))
    tell("end", nonce=plan["nonce"])


main()
