import sys

import pytest

from hakoiri.wire.probe import ProbeRequest
from hakoiri.workspace_agent.errors import ProbeError
from hakoiri.workspace_agent.probing import REPORT_LIMIT_BYTES, run_probe

pytestmark = pytest.mark.anyio

REQUEST = ProbeRequest(runtime="runc", owner_uid=1000, owner_gid=1000)
REPORT = '{"findings": [{"name": "a", "result": "open", "how": "b"}]}'


def program(script: str) -> tuple[str, ...]:
    return (sys.executable, "-c", f"import sys; {script}")


async def test_a_report_is_read_whatever_the_exit_code() -> None:
    report = await run_probe(REQUEST, program=program(f"print('{REPORT}'); sys.exit(1)"))
    assert [finding.name for finding in report.open] == ["a"]


async def test_the_program_is_told_what_to_look_at() -> None:
    script = f"print('{REPORT}'.replace('b', ' '.join(sys.argv[1:])))"
    asked = ProbeRequest(runtime="runsc", owner_uid=7, owner_gid=8, thorough=True)
    report = await run_probe(asked, program=program(script))
    assert report.findings[0].how == "--runtime runsc --owner 7:8 --thorough"


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
