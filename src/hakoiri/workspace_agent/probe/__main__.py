"""One report, as JSON: `python -m hakoiri.workspace_agent.probe REQUEST`, a `ProbeRequest`'s JSON.

What it says lies in the arguments: nobody else is in the box, and none of it is secret. Nothing is
imported here that takes long to load: under gVisor that would be a third of the whole.
"""

import json
import resource
import sys
from dataclasses import asdict
from typing import Final

from hakoiri.workspace_agent.probe.asked import Asked
from hakoiri.workspace_agent.probe.attempt import Finding, make, make_all
from hakoiri.workspace_agent.probe.files import file_attempts
from hakoiri.workspace_agent.probe.posture import expected_posture, judge
from hakoiri.workspace_agent.probe.resources import resource_attempts
from hakoiri.workspace_agent.probe.secrets_within import secret_attempts
from hakoiri.workspace_agent.probe.sockets import socket_attempts
from hakoiri.workspace_agent.probe.standing import read_standing
from hakoiri.workspace_agent.probe.system_calls import system_call_attempts

AT_ONCE: Final = 4
"""Few enough for the least number of processes that a box may be given (`ContainerSettings.pids`);
under gVisor, whose processes begin and end slowly, no more would be faster."""


def look(asked: Asked) -> list[Finding]:
    """Make every attempt; the posture is read before anything is tried."""
    expected = expected_posture(asked)
    findings = judge(read_standing(expected["masked"]["paths"]), expected)
    attempts = [
        *system_call_attempts(),
        *socket_attempts(),
        *file_attempts(),
        *secret_attempts(),
    ]
    # what uses something up needs a process of its own, which gives it back
    exhausting = resource_attempts(asked.runtime) if asked.thorough else []
    made = make_all(attempts, at_once=AT_ONCE)
    return [*findings, *made, *(make(attempt) for attempt in exhausting)]


def _processor_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def main() -> None:
    """Print the report; exit code 1 if anything is open."""
    try:
        asked = Asked.read(sys.argv[1])
    except (IndexError, ValueError, TypeError) as error:
        sys.exit(f"usage: python -m hakoiri.workspace_agent.probe REQUEST, as JSON ({error})")
    findings = look(asked)
    report = {
        "findings": [asdict(finding) for finding in findings],
        "processor_s": _processor_s(),
    }
    sys.stdout.write(json.dumps(report) + "\n")
    sys.exit(1 if any(finding.result == "open" for finding in findings) else 0)


if __name__ == "__main__":
    main()
