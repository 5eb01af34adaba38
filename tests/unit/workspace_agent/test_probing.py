import sys

import pytest

from hakoiri.wire.probe import ProbeRequest
from hakoiri.workspace_agent.errors import ProbeError
from hakoiri.workspace_agent.probing import REPORT_LIMIT_BYTES, run_probe

pytestmark = pytest.mark.anyio

REQUEST = ProbeRequest(
    runtime="runc",
    owner_uid=1000,
    owner_gid=1000,
    namespaces={"ipc": 4_026_531_839},
    open_files=4096,
    file_limit_bytes=2**30,
    apparmor=None,
)
REPORT = '{"findings": [{"name": "a", "result": "open", "how": "b"}], "processor_s": 0.5}'


def program(script: str) -> tuple[str, ...]:
    return (sys.executable, "-c", f"import sys; {script}")


async def test_a_report_is_read_whatever_the_exit_code() -> None:
    report = await run_probe(REQUEST, program=program(f"print('{REPORT}'); sys.exit(1)"))
    assert [finding.name for finding in report.open] == ["a"]


async def test_the_program_is_told_what_to_look_at() -> None:
    finding = "{'name': 'a', 'result': 'open', 'how': sys.argv[1]}"
    script = f"import json; print(json.dumps({{'findings': [{finding}], 'processor_s': 0}}))"
    asked = REQUEST.model_copy(update={"runtime": "runsc", "thorough": True})
    report = await run_probe(asked, program=program(script))
    assert ProbeRequest.model_validate_json(report.findings[0].how) == asked


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("print('no report')", "no report"),
        ("sys.exit(3)", "ended with 3"),
        (f"sys.stdout.write('x' * ({REPORT_LIMIT_BYTES} * 2))", "longer than"),
    ],
)
async def test_anything_else_is_an_error(script: str, why: str) -> None:
    with pytest.raises(ProbeError, match=why):
        await run_probe(REQUEST, program=program(script))
