"""One report, as JSON.

`python -m hakoiri.workspace_agent.probe --runtime runc --owner UID:GID [--thorough]`
"""

import argparse
import sys
from dataclasses import asdict

from hakoiri.wire.probe import ProbeFinding, ProbeReport
from hakoiri.workspace_agent.probe.attempt import Finding, make
from hakoiri.workspace_agent.probe.files import file_attempts
from hakoiri.workspace_agent.probe.posture import expected_posture, judge, read_posture
from hakoiri.workspace_agent.probe.resources import resource_attempts
from hakoiri.workspace_agent.probe.secrets_within import secret_attempts
from hakoiri.workspace_agent.probe.sockets import socket_attempts
from hakoiri.workspace_agent.probe.system_calls import system_call_attempts


def look(*, runtime: str, owner: tuple[int, int], is_thorough: bool) -> list[Finding]:
    """Make every attempt; the posture is read before anything is tried."""
    findings = judge(read_posture(), expected_posture(runtime, owner=owner))
    attempts = [
        *system_call_attempts(),
        *socket_attempts(),
        *file_attempts(),
        *secret_attempts(),
        *(resource_attempts(runtime) if is_thorough else []),
    ]
    return [*findings, *(make(attempt) for attempt in attempts)]


def _ids(text: str) -> tuple[int, int]:
    uid, gid = text.split(":")
    return int(uid), int(gid)


def main() -> None:
    """Print the report; exit code 1 if anything is open."""
    parser = argparse.ArgumentParser(description="Tries from inside what a box must not allow.")
    parser.add_argument("--runtime", choices=["runc", "runsc"], required=True)
    parser.add_argument(
        "--owner", required=True, type=_ids, metavar="UID:GID", help="the box's user on the host"
    )
    parser.add_argument("--thorough", action="store_true", help="use up resources, too")
    asked = parser.parse_args()
    findings = look(runtime=asked.runtime, owner=asked.owner, is_thorough=asked.thorough)
    report = ProbeReport(findings=[ProbeFinding(**asdict(finding)) for finding in findings])
    sys.stdout.write(report.model_dump_json() + "\n")
    sys.exit(1 if report.open else 0)


if __name__ == "__main__":
    main()
