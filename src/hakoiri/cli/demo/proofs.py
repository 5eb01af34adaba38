"""What the demo proves, each as a function of what was really seen."""

import hashlib
import json
import os
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from hakoiri.cli.demo.site import GREETING
from hakoiri.cli.demo.stage import SITE_HOST, Stage
from hakoiri.host.files.pack_codec import CodecError, decompress
from hakoiri.host.files.packs import PACK_LIMIT_BYTES

SEARCH_CHUNK_BYTES: Final = 4 * 1024 * 1024


class NothingToProveError(Exception):
    """The turn did not get as far as there is something to look at."""


@dataclass(frozen=True, slots=True)
class Proof:
    """A promise, whether it held, and what was seen."""

    promise: str
    held: bool
    seen: str

    def as_data(self) -> dict[str, Any]:
        """Return it for `--json`."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn as it was streamed."""

    events: list[dict[str, Any]]

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        """Return the data of all events of one type."""
        return [event["data"] for event in self.events if event["type"] == kind]

    @property
    def tool_text(self) -> str:
        """What the tools printed."""
        return "\n".join(result["text"] for result in self.of_type("tool_result"))

    @property
    def container(self) -> str:
        """The container it ran in; `NothingToProveError` if none was started."""
        started = self.of_type("turn_started")
        if not started:
            told = [error["text"] for error in self.of_type("error")]
            raise NothingToProveError(f"no container was started: {' '.join(told)}")
        return str(started[-1]["container"])

    @property
    def ended_well(self) -> bool:
        """Whether its last event is a result."""
        return bool(self.events) and self.events[-1]["type"] == "result"


def real_turn(turn: Turn) -> Proof:
    """The agent ran a command in its container, and the turn ended well."""
    ran = [use["name"] for use in turn.of_type("tool_use")]
    return Proof(
        "the real agent ran a command in a sealed container",
        turn.ended_well and ran == ["Bash"] and "sealed wooden box" in turn.tool_text,
        f"tools {ran}, {len(turn.events)} events, last {turn.events[-1]['type']}",
    )


def only_loopback(turn: Turn) -> Proof:
    """The container's only interface is `lo`."""
    seen = turn.tool_text.split()
    return Proof("the container has no network interface but lo", seen == ["lo"], f"{seen}")


def hardened(inspected: dict[str, Any]) -> Proof:
    """The engine says that the container is sealed."""
    host = inspected["HostConfig"]
    seen = {
        "network": host["NetworkMode"],
        "read-only root": host["ReadonlyRootfs"],
        "capabilities dropped": host["CapDrop"],
        "no new privileges": "no-new-privileges:true" in host["SecurityOpt"],
        "user": inspected["Config"]["User"],
        "pids": host["PidsLimit"],
    }
    held = seen == {
        "network": "none",
        "read-only root": True,
        "capabilities dropped": ["ALL"],
        "no new privileges": True,
        "user": "1000:1000",
        "pids": seen["pids"],
    } and bool(seen["pids"])
    return Proof("the engine holds the container to its hardening", held, json.dumps(seen))


def no_secret(stage: Stage, container: str, inspected: dict[str, Any]) -> Proof:
    """The planted secret is nowhere in the container: environment, processes, files."""
    needle = stage.planted_secret.encode()
    processes = _process_files(inspected["State"]["Pid"])
    if not processes:
        raise NothingToProveError("the container's processes could not be read from /proc")
    places = {
        "configuration": [json.dumps(inspected).encode()],
        "processes": processes,
        "root file system": _exported(stage, container),
        "workspace and home": _files_below(stage.live_dir),
    }
    found = [place for place, chunks in places.items() if _contains(chunks, needle)]
    return Proof(
        "no secret of the host is in the container",
        not found,
        f"found in {found}" if found else f"searched {', '.join(places)}",
    )


def refused_then_allowed(before: Turn, after: Turn) -> Proof:
    """A host outside the whitelist is refused; the same host is reached after a policy change."""
    refused = "[status 403]" in before.tool_text and GREETING not in before.tool_text
    allowed = "[status 200]" in after.tool_text and GREETING in after.tool_text
    return Proof(
        f"{SITE_HOST} is refused, and allowed after a policy change",
        refused and allowed,
        f"before: {before.tool_text.strip()[:160]} | after: {after.tool_text.strip()[:80]}",
    )


def signed(requests: Iterable[dict[str, Any]]) -> Proof:
    """Every model request that arrived carried a signature that botocore finds right."""
    verdicts = [str(one["verdict"]) for one in requests if one["provider"] == "bedrock"]
    return Proof(
        "model requests arrive signed by the proxy (SigV4, checked with botocore)",
        bool(verdicts) and set(verdicts) == {"valid"},
        f"{len(verdicts)} requests, verdicts {sorted(set(verdicts))}",
    )


def stored(stage: Stage, conversation_id: str) -> Proof:
    """The file the agent wrote is in the object store, in a pack named by its own hash."""
    path = f"/v1/conversations/{conversation_id}/workspace/files/haiku.txt"
    content = stage.api.download(path)
    objects = [
        found
        for found in (stage.data_dir / "objects").rglob("packs/**/*")
        if found.is_file() and content in _unpacked(found)
    ]
    named_right = all(
        hashlib.sha256(found.read_bytes()).hexdigest() == found.name for found in objects
    )
    held = b"sealed wooden box" in content and bool(objects) and named_right
    seen = str(objects[0].relative_to(stage.data_dir)) if objects else "no pack holds it"
    return Proof("the file is in the object store", held, seen)


def _unpacked(pack: Path) -> bytes:
    stored = pack.read_bytes()
    try:
        return decompress(stored, limit_bytes=PACK_LIMIT_BYTES)
    except CodecError:
        return stored


def remembered(first: Turn, later: Turn) -> Proof:
    """A new container knows the conversation and has its files."""
    started, before = later.of_type("turn_started"), first.of_type("turn_started")
    another = bool(started and before) and (
        started[-1]["container"] != before[-1]["container"]
        and started[-1]["generation"] > before[-1]["generation"]
    )
    answer = later.of_type("result")[-1]["text"] if later.ended_well else ""
    knows = "Write a haiku" in answer and "sealed wooden box" in later.tool_text
    return Proof(
        "a new container resumes the session and has the file",
        another and knows,
        f"container {started[-1]['container'] if started else None}, answered {answer[:80]!r}",
    )


def inspect(stage: Stage, container: str) -> dict[str, Any]:
    """Return what the engine says of a container."""
    said: list[dict[str, Any]] = json.loads(_docker(stage, "inspect", container))
    return said[0]


def remove(stage: Stage, container: str) -> None:
    """Take the container away behind the server's back, as a crash would."""
    _docker(stage, "rm", "--force", container)


def _docker(stage: Stage, *arguments: str) -> bytes:
    return subprocess.run(  # noqa: S603
        ["docker", "--host", stage.docker_host, *arguments],  # noqa: S607 - from root's PATH
        check=True,
        capture_output=True,
    ).stdout


def _process_files(first: int) -> list[bytes]:
    """Return environment and arguments of a process and all below it, as the host sees them."""
    seen = []
    for name in ("environ", "cmdline"):
        with suppress(OSError):  # it ended meanwhile
            seen.append(Path(f"/proc/{first}/{name}").read_bytes())
    with suppress(OSError):
        for child in Path(f"/proc/{first}/task/{first}/children").read_text("ascii").split():
            seen += _process_files(int(child))
    return seen


def _exported(stage: Stage, container: str) -> Iterable[bytes]:
    """Yield the container's root file system as the engine exports it."""
    with subprocess.Popen(  # noqa: S603
        ["docker", "--host", stage.docker_host, "export", container],  # noqa: S607
        stdout=subprocess.PIPE,
    ) as process:
        if process.stdout is not None:
            while chunk := process.stdout.read(SEARCH_CHUNK_BYTES):
                yield chunk
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, "docker export")


def _files_below(root: Path) -> Iterable[bytes]:
    for directory, _, names in os.walk(root):
        for name in names:
            path = Path(directory, name)
            if path.is_file() and not path.is_symlink():
                yield path.read_bytes()


def _contains(chunks: Iterable[bytes], needle: bytes) -> bool:
    """Whether the needle is in the joined chunks; across the borders of two chunks as well."""
    tail = b""
    for chunk in chunks:
        if needle in tail + chunk:
            return True
        tail = chunk[-len(needle) :]
    return False
