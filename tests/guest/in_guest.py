"""Runs in the guest: an engine, the containers of the plan, and what came of each, as JSON lines.

It judges nothing. The plan (`plan.json`) names profiles and trials; a trial is a body for the
engine's create call and the steps to do with the container. The last line repeats the plan's nonce.
"""

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PAYLOAD = Path("/payload")
BOXES = Path("/boxes")
LOADER = PAYLOAD / "apparmor/load.sh"
ENGINE = "/var/run/docker.sock"
ENGINE_LIMIT_S = 120
STEP_LIMIT_S = 900
OUTPUT_LIMIT_CHARS = 200_000
CONTAINER_UID = 1000
DOCKERD = (
    *("dockerd", "--bridge=none", "--iptables=false", "--ip6tables=false"),
    *("--ip-forward=false", "--ip-masq=false"),
)


class Unix(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout_s: float = 60) -> None:
        """Connect to `path`."""
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        """Open the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def ask(path: str, method: str, target: str, body: object = None) -> tuple[int, Any]:
    """Make a call; return status and document."""
    connection = Unix(path)
    sent = None if body is None else json.dumps(body)
    connection.request(method, target, sent, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    return answer.status, json.loads(text) if text else None


def run(*command: str, given: str | None = None) -> dict[str, Any]:
    """Run a command; return its code and output."""
    done = subprocess.run(
        command, input=given, capture_output=True, text=True, timeout=STEP_LIMIT_S, check=False
    )
    return {"code": done.returncode, "out": done.stdout, "err": done.stderr[-3000:]}


def tell(kind: str, **facts: object) -> None:
    """Print one line."""
    print(json.dumps({"kind": kind, **facts}), flush=True)
    sys.stderr.write(f"guest {time.monotonic():.0f} s: {kind} {facts.get('name', '')}\n")


def start_engine() -> None:
    with Path("/run/dockerd.log").open("wb") as log:
        subprocess.Popen(DOCKERD, stdout=log, stderr=log, start_new_session=True)
    deadline_s = time.monotonic() + ENGINE_LIMIT_S
    while True:
        try:
            status, info = ask(ENGINE, "GET", "/v1.41/info")
        except OSError:
            if time.monotonic() > deadline_s:
                raise RuntimeError(Path("/run/dockerd.log").read_text()[-3000:]) from None
            time.sleep(0.2)
            continue
        kept = ("SecurityOptions", "CgroupVersion", "Driver", "ServerVersion", "KernelVersion")
        tell("engine", status=status, **{name: info[name] for name in kept})
        return


def load_profiles(profiles: dict[str, str]) -> None:
    """Load the profile that ships by its own script, the changed ones by hand."""
    for name in ("check", "verify before", "load", "load again", "verify"):
        tell("script", name=name, **run(str(LOADER), name.split()[0]))
    for name, text in profiles.items():
        file = Path("/run") / name
        file.write_text(text)
        tell("profile", name=name, **run("apparmor_parser", "--replace", str(file)))
    listed = Path("/sys/kernel/security/apparmor/profiles").read_text().splitlines()
    tell("profiles", listed=listed)


def kernel_log() -> list[str]:
    return str(run("dmesg", "--raw")["out"]).splitlines()


def make_box(name: str) -> Path:
    box = BOXES / name
    for part in ("workspace", "home", "agent", "proxy"):
        (box / part).mkdir(parents=True)
        os.chown(box / part, CONTAINER_UID, CONTAINER_UID)
    return box


def mount_agents_directory(directory: Path) -> None:
    """Give the agent's socket a file system of its own, as the docker guard does."""
    options = f"size=64k,nr_inodes=16,mode=0755,uid={CONTAINER_UID},gid={CONTAINER_UID}"
    flags = "nosuid,nodev,noexec"
    done = run(*f"mount -t tmpfs -o {options},{flags} none {directory}".split())
    if done["code"] != 0:
        raise RuntimeError(done["err"])


def prepare(box: Path, pid: int) -> None:
    """Lay out what the acts need, with the host's hand."""
    workspace = box / "workspace"
    for part in ("mounted", "prepared", "covered"):
        (workspace / part).mkdir()
    (workspace / "of-nobody").write_text("x")
    (workspace / "of-nobody").chmod(0)
    os.chown(workspace / "of-nobody", 4711, 4711)
    (workspace / "of-root").mkdir()
    (workspace / "of-root/own").write_text("x")
    shutil.copy("/bin/true", box / "agent/true")
    for command in (
        "mount -t tmpfs none /workspace/prepared",
        "mkdir /workspace/prepared/old",
        "mount -t tmpfs none /workspace/covered",
        "mount -o remount,rw /sys",
        "mount -t securityfs none /sys/kernel/security",
        "mount -o remount,rw /sys/fs/cgroup",
    ):
        done = run("nsenter", f"--target={pid}", "--mount", *command.split())
        if done["code"] != 0:
            raise RuntimeError(f"{command}: {done['err']}")


def attempts(trial: dict[str, Any], name: str) -> None:
    """Try the acts as the trial's user, and tell what the kernel said to it."""
    before = len(kernel_log())
    with subprocess.Popen(["sleep", "1000"]) as outsider:
        done = run(
            *("docker", "exec", "--interactive", f"--env=OUTSIDER={outsider.pid}", name),
            *("python3", "-I", "-", trial["acts"]),
            given=(PAYLOAD / "acts.py").read_text(),
        )
        outsider.kill()
    acts = [json.loads(line) for line in done["out"].splitlines()]
    lines = [line for line in kernel_log()[before:] if "apparmor=" in line]
    tell("acts", name=trial["name"], code=done["code"], err=done["err"], acts=acts, log=lines)


def agent_answers(name: str, box: Path) -> None:
    deadline_s = time.monotonic() + ENGINE_LIMIT_S
    while True:
        try:
            status, health = ask(str(box / "agent/agent.sock"), "GET", "/health")
        except OSError as error:
            status, health = 0, str(error)
        if status == 200 or time.monotonic() > deadline_s:
            break
        time.sleep(0.3)
    tell("agent", name=name, status=status, health=health)


def programs(trial: dict[str, Any], name: str) -> None:
    """Run each program in the container, as the user that the body names."""
    for program, text in trial["programs"].items():
        before, began_s = len(kernel_log()), time.monotonic()
        try:
            done = run("docker", "exec", "--interactive", name, "bash", "-s", given=text)
        except subprocess.TimeoutExpired:
            done = {"code": -1, "out": "", "err": f"not done in {STEP_LIMIT_S} s"}
        lines = [line for line in kernel_log()[before:] if "apparmor=" in line]
        done["out"] = done["out"][-OUTPUT_LIMIT_CHARS:]
        took_s = time.monotonic() - began_s
        tell("program", name=program, trial=trial["name"], log=lines, took_s=took_s, **done)


def group_of(pid: int) -> dict[str, str]:
    """Return what the kernel says of the container's control group, from outside."""
    path = re.sub(r"^0::", "/sys/fs/cgroup", Path(f"/proc/{pid}/cgroup").read_text().strip())
    names = (
        *("memory.max", "memory.swap.max", "memory.events", "pids.max", "pids.events"),
        *("cpu.max", "cpu.stat", "cpu.weight"),
    )
    return {name: (Path(path) / name).read_text() for name in names}


def try_one(trial: dict[str, Any]) -> None:
    name = trial["name"]
    box = make_box(name)
    (box / "proxy/ca.pem").write_text("")
    if trial.get("agent"):
        shutil.copytree(PAYLOAD / "model", box / "workspace/model")
        mount_agents_directory(box / "agent")
    body = trial["body"]
    status, made = ask(ENGINE, "POST", f"/v1.41/containers/create?name={name}", body)
    if status != 201:
        tell("container", name=name, status=status, said=made)
        return
    status, said = ask(ENGINE, "POST", f"/v1.41/containers/{name}/start")
    _, shown = ask(ENGINE, "GET", f"/v1.41/containers/{name}/json")
    pid = shown["State"]["Pid"]
    labels = [
        Path(f"/proc/{one}/attr/current").read_text().strip() for one in (pid, *children_of(pid))
    ]
    tell("container", name=name, status=status, said=said, labels=labels, group=group_of(pid))
    if trial.get("agent"):
        agent_answers(name, box)
    if trial.get("acts"):
        if trial.get("prepared"):
            prepare(box, pid)
        attempts(trial, name)
    if trial.get("programs"):
        programs(trial, name)
    _, shown = ask(ENGINE, "GET", f"/v1.41/containers/{name}/json")
    ended = {"running": shown["State"]["Running"], "oom": shown["State"]["OOMKilled"]}
    if shown["State"]["Running"]:
        ended["group"] = group_of(pid)
    else:
        ended["log"] = run("docker", "logs", "--tail=20", name)["err"]
    tell("end of container", name=name, **ended)
    run("docker", "rm", "--force", name)


def children_of(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def unload_profile() -> None:
    """Unload while a process has the profile, which must be refused, and again when none has."""
    with subprocess.Popen(["aa-exec", "--profile=workspace-container", "sleep", "100"]) as confined:
        time.sleep(1)
        tell("script", name="unload in use", **run(str(LOADER), "unload"))
        confined.kill()
    for name in ("unload", "unload again", "verify after"):
        tell("script", name=name, **run(str(LOADER), name.split()[0]))


def swap_on() -> None:
    """Give the machine swap, so that having none is the container's own limit."""
    for command in (
        "fallocate --length 768M /var/lib/docker/swap",
        "chmod 600 /var/lib/docker/swap",
        "mkswap /var/lib/docker/swap",
        "swapon /var/lib/docker/swap",
    ):
        done = run(*command.split())
        if done["code"] != 0:
            raise RuntimeError(f"{command}: {done['err']}")


def main() -> None:
    plan = json.loads((PAYLOAD / "plan.json").read_text())
    tell("begin", nonce=plan["nonce"])
    swap_on()
    start_engine()
    load_profiles(plan["profiles"])
    for trial in plan["trials"]:
        try:
            try_one(trial)
        except Exception as error:  # noqa: BLE001 - the others are tried all the same
            tell("broken", name=trial["name"], error=repr(error))
    unload_profile()
    tell("end", nonce=plan["nonce"])


main()
