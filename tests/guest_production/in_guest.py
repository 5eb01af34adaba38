"""Runs in the machine: the plan's steps, and what came of each, as JSON lines. Judges nothing."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PLAN = json.loads(Path("/payload/plan.json").read_text())
STEP_LIMIT_S = 1300
OUTPUT_LIMIT_CHARS = 60_000
READY_LIMIT_S = 600
TURNS = 3
"""The agent gives its CLI a minute to come up, which reads it from a cold disk the first time."""

MODEL = "/opt/hakoiri/current/.venv/bin/python"
TURN = "run: cat /proc/self/attr/current /proc/self/uid_map; id -u; echo kept >kept.txt"


def tell(kind: str, **facts: object) -> None:
    """Print one line."""
    print(json.dumps({"kind": kind, **facts}), flush=True)
    sys.stderr.write(f"machine {time.monotonic():.0f} s: {kind} {facts.get('name', '')}\n")


def run(command: str, *environment: str) -> dict[str, Any]:
    """Run a command of a shell's; return its code and output."""
    began_s = time.monotonic()
    added = dict(one.split("=", 1) for one in environment if one)
    try:
        done = subprocess.run(
            ["bash", "-c", command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=STEP_LIMIT_S,
            check=False,
            env=os.environ | added,
        )
        code, out, err = done.returncode, done.stdout, done.stderr
    except subprocess.TimeoutExpired:
        code, out, err = -1, "", f"not done in {STEP_LIMIT_S} s"
    took_s = round(time.monotonic() - began_s, 1)
    return {"code": code, "out": out[-OUTPUT_LIMIT_CHARS:], "err": err[-4000:], "took_s": took_s}


def follow_the_guide() -> None:
    for step in PLAN["steps"]:
        if step["keep"] == "key":
            undo_all()
        done = run(f"cd {step['at']} && {step['command']}")
        if step["keep"]:
            (Path("/root") / step["keep"]).write_text(done["out"])
        tell("step", name=step["name"], **done)


def undo_all() -> None:
    """Take every layer away that can be, try to start, and put them back."""
    wanted = PLAN["undoings"]
    undone = {one["point"]: run(one["undo"]) for one in wanted}
    tried = run("hakoiri serve --production", *(one["environment"] for one in wanted))
    redone = {one["point"]: run(one["redo"]) for one in wanted}
    tell("undone", name="all", undone=undone, tried=tried, redone=redone)


def start_model() -> None:
    model = PLAN["model"]
    environment = (
        f"--setenv=HAKOIRI_REHEARSAL_ACCESS_KEY_ID={model['access_key_id']}"
        f" --setenv=HAKOIRI_REHEARSAL_SECRET_ACCESS_KEY={model['secret']}"
    )
    command = (
        f"systemd-run --unit=model {environment} {MODEL} -m hakoiri.rehearsal"
        f" --script=/payload/script.yaml --listen=127.0.0.1:{model['port']}"
    )
    tell("step", name="start the model", **run(command))


def until_ready(name: str) -> None:
    deadline_s = time.monotonic() + READY_LIMIT_S
    while True:
        ready = run("curl --silent http://127.0.0.1:8420/ready --write-out ' %{http_code}'")
        is_ready = ready["out"].endswith(" 200")
        is_probing = '"state":"running"' in ready["out"]
        if (is_ready and not is_probing) or time.monotonic() > deadline_s:
            break
        time.sleep(2)
    tell("ready", name=name, is_ready=is_ready, **ready)


def examine(runtime: str) -> None:
    told = run("hakoiri doctor --production -o json", f"HAKOIRI_CONTAINER__RUNTIME={runtime}")
    tell("doctor", name=runtime, **told)


def turn(name: str) -> None:
    """Have a turn of the real CLI, and look from outside at every process of its container."""
    ask = (
        'curl --silent --show-error --no-buffer --header "Authorization: Bearer $(cat /root/key)"'
        " --header 'Content-Type: application/json' --header 'Accept: text/event-stream'"
    )
    at = "http://127.0.0.1:8420/v1/conversations"
    made = run(f"{ask} --data '{{}}' {at}")
    found = re.search(r'"id": ?"([^"]+)"', made["out"])
    message = json.dumps({"text": TURN})
    began_s = time.monotonic()  # of the machine's start, as the kernel's log counts
    for _ in range(TURNS):
        done = run(f"{ask} --data '{message}' {at}/{found[1] if found else 'none'}/messages")
        if "event: error" not in done["out"]:
            break
    processes = processes_of_boxes()
    span_s = [began_s, time.monotonic()]
    tell("turn", name=name, made=made, processes=processes, span_s=span_s, **done)


def processes_of_boxes() -> list[dict[str, Any]]:
    """Return what the kernel says of each process in a container of ours."""
    listed = run("docker ps --no-trunc --quiet --filter label=hakoiri.instance")["out"].split()
    found = []
    for container in listed:
        top = run(f"docker top {container} -eo pid,args")["out"].splitlines()[1:]
        for line in top:
            pid, _, words = line.strip().partition(" ")
            proc = Path("/proc") / pid
            try:
                label = (proc / "attr/current").read_text().strip()
                ids = (proc / "uid_map").read_text().split()
                status = (proc / "status").read_text()
            except OSError:  # it has just ended
                continue
            uid = re.search(r"^Uid:\s+(\d+)", status, re.MULTILINE)
            found.append(
                {"container": container, "args": words.strip(), "label": label, "uid_map": ids}
                | {"uid": int(uid[1]) if uid else -1}
            )
    return found


def journal(unit: str) -> None:
    tell("journal", name=unit, **run(f"journalctl --no-pager --output=cat --unit={unit}"))


def main() -> None:
    tell("begin", nonce=PLAN["nonce"])
    tell("machine", **run("uname -r; cat /sys/kernel/security/lsm; stat -f -c %T /sys/fs/cgroup"))
    follow_the_guide()
    start_model()
    tell("step", name="start", **run("systemctl enable --now hakoiri"))
    journal("hakoiri")
    until_ready("runc")
    turn("runc")
    examine("runc")
    examine("runsc")
    tell("step", name="stop", **run("systemctl stop hakoiri; docker ps --all --quiet"))
    journal("docker")
    tell("kernel", **run("dmesg --raw | grep apparmor=.DENIED"))
    tell("end", nonce=PLAN["nonce"])


main()
